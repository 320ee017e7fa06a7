"""Over-fitting, by the curves of a training.

A training over-fits if at its end validation is higher than at its least by more than chance, of as many comparisons as
there were validations, although the likelihood of training examples has grown since: a model that has only been shaken,
by a large learning rate, is worse on both. One validation after the least shows no trend, and is not taken for one.
"""

from __future__ import annotations

from typing import NamedTuple

from dgmrun.protocols.text import with_error
from dgmrun.protocols.values import half_width
from dgmrun.run.metrics import Curves

OF_LIKELIHOOD = ("valid/nll", "valid/bound")
"""Tags of what validation watches of a likelihood, the first that there is."""


class Overfitting(NamedTuple):
    """The step of the least validation, and how far it is above that at the end, with its standard error, in nats."""

    step: int
    rise: float
    standard_error: float

    def __str__(self) -> str:
        """One line."""
        risen = with_error(self.rise, self.standard_error)
        return f"over-fitting: validation has risen by {risen} nats since step {self.step}, its least"


def overfitting(curves: Curves, examples: int) -> Overfitting | None:
    """Returns since when a training over-fits, if it does; `examples` is the number of validation examples."""
    watched = next((tag for tag in OF_LIKELIHOOD if tag in curves), "")
    tags = (watched, "valid/gap", "valid/rise", "valid/rise_standard_error")
    loss, gap, rises, errors = (dict(curves.get(tag, ())) for tag in tags)
    steps = [step for step in loss if step in gap]
    if not steps or steps[-1] not in rises.keys() & errors.keys():
        return None
    least, last = min(steps, key=loss.__getitem__), steps[-1]
    if least not in steps[:-2]:
        return None
    is_trained = loss[last] - gap[last] < loss[least] - gap[least]
    is_higher = rises[last] > half_width(errors[last], examples, len(steps))
    return Overfitting(least, rises[last], errors[last]) if is_trained and is_higher else None
