r"""How far validation has risen above its least, over the same examples, and whether that is over-fitting.

    d_n = log p_least(x_n) - log p_now(x_n),    SE^2 = var(d) / N + SE(log Z_least)^2 + SE(log Z_now)^2

with the first part 0 if the examples are a whole population. A training over-fits if at its end validation is higher
than at its least by more than chance, of as many comparisons as there were validations, although the likelihood of
training examples has grown since: a model that has only been shaken, by a large learning rate, is worse on both.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.text import with_error
from dgmrun.protocols.values import Estimate, half_width
from dgmrun.run.metrics import Curves


class Scores(NamedTuple):
    """log p of each validation example [N], in nats, and the standard error of the log Z that all of them have."""

    log_prob: Tensor
    log_z_error: float

    @classmethod
    def of(cls, log_prob: Tensor, estimate: Estimate) -> Scores:
        """Returns the scores of examples whose mean is an estimate."""
        error = estimate.diagnostics.get("standard_error_log_z", 0.0)
        return cls(log_prob.double().cpu(), math.nan if error is None else error)


def rise(now: Scores, least: Scores | None, population: float | None) -> dict[str, float]:
    """Returns how far the mean of -log p is above its least so far, in nats, and the standard error."""
    if least is None:
        return {}
    d, num = least.log_prob - now.log_prob, len(now.log_prob)
    of_examples = float(d.std()) * math.sqrt(unseen_share(num, population) / num) if num > 1 else math.nan
    error = math.hypot(of_examples, least.log_z_error, now.log_z_error)
    return {"rise": float(d.mean()), "rise_standard_error": error}


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
    nll = "valid/nll" if "valid/nll" in curves else "valid/bound"
    tags = (nll, "valid/gap", "valid/rise", "valid/rise_standard_error")
    loss, gap, rises, errors = (dict(curves.get(tag, ())) for tag in tags)
    steps = [step for step in loss if step in gap]
    if not steps or steps[-1] not in rises.keys() & errors.keys():
        return None
    least, last = min(steps, key=loss.__getitem__), steps[-1]
    is_trained = loss[last] - gap[last] < loss[least] - gap[least]
    is_higher = rises[last] > half_width(errors[last], examples, len(steps))
    return Overfitting(least, rises[last], errors[last]) if is_trained and is_higher else None
