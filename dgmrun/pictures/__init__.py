"""Pictures of runs."""

FORMATS = ("png", "pdf", "svg")
"""Formats of pictures."""
ENDINGS = (*FORMATS, "csv", "npz")
"""Endings of pictures and of the numbers that they were drawn from."""
