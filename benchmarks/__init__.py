"""dgmrun beside its peers, in one run: a speed is a ratio of two measurements taken in turn, never a time.

A subject is a file here without a leading underscore, with a function `comparisons(data, quick)`.
"""
