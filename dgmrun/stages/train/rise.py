r"""How far validation is above its least so far, over the same examples.

    d_n = log p_least(x_n) - log p_now(x_n),    SE^2 = var(d) / N + SE(log Z_least)^2 + SE(log Z_now)^2

with the first part 0 if the examples are a whole population.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.values import Estimate


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
