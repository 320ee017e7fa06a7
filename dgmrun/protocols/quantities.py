"""Quantities that a figure can report: their units, and which values are better."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """Properties of a quantity that a figure can report.

    Args:
        unit: unit of its values.
        better: which values are better: `higher`, `lower` or `none`.
        is_ranked: whether runs are ranked by it.
        is_log_density: whether a change of units moves it by the log-Jacobian.
        is_count: whether it is a share of examples, each 1 or 0, by which runs are compared example by example.
    """

    unit: str
    better: str = "none"
    is_ranked: bool = False
    is_log_density: bool = False
    is_count: bool = False


UNKNOWN = Quantity("")
QUANTITIES = {
    "log_z": Quantity("nats"),
    "log_likelihood": Quantity("nats", "higher", is_ranked=True, is_log_density=True),
    "perplexity": Quantity("words", "lower"),
    "window_log_density": Quantity("nats", "higher", is_log_density=True),
    "jsd": Quantity("nats", "lower"),
    "le_cam": Quantity("of 1", "lower"),
    "squared_hellinger": Quantity("of 1", "lower"),
    "reverse_kl": Quantity("nats", "lower"),
    "posterior_kl": Quantity("nats", "lower"),
    "mmd": Quantity("squared", "lower"),
    "kid": Quantity("", "lower"),
    "fid": Quantity("squared", "lower"),
    "precision": Quantity("of 1", "higher"),
    "recall": Quantity("of 1", "higher"),
    "copying": Quantity("of 1"),
    "coverage": Quantity("of 1", "higher"),
    "accuracy": Quantity("of 1", "higher", is_count=True),
    "words_kept": Quantity("of 1"),
    "validity": Quantity("of 1", "higher"),
    "uniqueness": Quantity("of 1", "higher"),
    "novelty": Quantity("of 1", "higher"),
    "log_variance": Quantity("log variance", "lower"),
}
"""Properties of the known quantities; any other has no unit and is not ranked."""
