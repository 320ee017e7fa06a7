"""Over-fitting, by the curves of a training.

A training over-fits if at its end validation is higher than at its least by more than chance, of as many comparisons as
there were validations, although the likelihood of training examples has grown since, by more than chance, too: a model
that has only been shaken, by a large learning rate, is worse on both. A student, which is trained on samples of its
teacher, has no training examples among the data, and nothing is said of it. One validation after the least shows no
trend, and is not taken for one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dgmrun.protocols.text import with_error
from dgmrun.protocols.values import half_width
from dgmrun.run.metrics import Curves

OF_LIKELIHOOD = ("valid/nll", "valid/bound")
"""Tags of what validation watches of a likelihood, the first that there is."""
COMPARED = tuple(
    f"valid/{name}"
    for name in ("rise", "rise_standard_error", "gain", "gain_standard_error", "rise_standard_error_size")
)
"""Tags of the comparison with the least."""


class Overfitting(NamedTuple):
    """The step of the least validation, and how far it is above that at the end, with its standard error, in nats."""

    step: int
    rise: float
    standard_error: float

    def __str__(self) -> str:
        """One line."""
        risen = with_error(self.rise, self.standard_error)
        return f"over-fitting: validation has risen by {risen} nats since step {self.step}, its least"


def overfitting(curves: Curves) -> Overfitting | None:
    """Returns since when a training over-fits, if it does."""
    loss = dict(next((curves[tag] for tag in OF_LIKELIHOOD if tag in curves), ()))
    if not loss:
        return None
    least, last = min(loss, key=loss.__getitem__), max(loss)
    if least not in sorted(loss)[:-2]:
        return None
    rise, error, gain, gain_error, size = (dict(curves.get(tag, ())).get(last, math.nan) for tag in COMPARED)
    is_higher, is_trained = rise > half_width(error, size, len(loss)), gain > half_width(gain_error, size)
    return Overfitting(least, rise, error) if is_higher and is_trained else None
