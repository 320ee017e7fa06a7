r"""How far validation is above its least so far, and what training examples have gained since, over the same examples.

    d_n = log p_least(x_n) - log p_now(x_n),    SE^2 = var(d) / N + SE(log Z_least)^2 + SE(log Z_now)^2

with the first part 0 if the examples are a whole population. The gain of training examples is the mean of their -d_n.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.values import Estimate


class Scores(NamedTuple):
    """log p of validation and, if any are trained on, training examples, in nats, and how well their log Z is known.

    The error of log Z is its standard error; `log_z_samples` is the number of chains or samples that it rests on.
    """

    valid: Tensor
    train: Tensor | None
    log_z_error: float
    log_z_samples: float

    @classmethod
    def of(cls, valid: Tensor, train: Tensor | None, estimate: Estimate) -> Scores:
        """Returns the scores of examples, of which those of validation have an estimate as their mean."""
        error = estimate.diagnostics.get("standard_error_log_z", 0.0)
        samples = estimate.diagnostics.get("samples_log_z") if error else None
        return cls(
            valid.double().cpu(),
            None if train is None else train.double().cpu(),
            math.nan if error is None else error,
            math.inf if samples is None else float(samples),
        )

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Scores:
        """Returns the scores that a checkpoint has."""
        train = state["train"]
        return cls(
            state["valid"].double(),
            None if train is None else train.double(),
            float(state["log_z_error"]),
            float(state["log_z_samples"]),
        )


def rise(now: Scores, least: Scores | None, population: float | None) -> dict[str, float]:
    """Returns the rise of validation above its least so far and the gain of training examples, in nats, with errors.

    `rise_standard_error_size` is the number of values that the errors rest on, the fewest of all.
    """
    if least is None:
        return {}
    of_log_z = math.hypot(least.log_z_error, now.log_z_error)
    sizes = [len(now.valid), least.log_z_samples, now.log_z_samples]
    found = _with_error("rise", least.valid - now.valid, of_log_z, population)
    if now.train is not None and least.train is not None:
        sizes.append(len(now.train))
        found |= _with_error("gain", now.train - least.train, of_log_z, None)
    return {**found, "rise_standard_error_size": float(min(sizes))}


def _with_error(name: str, d: Tensor, of_log_z: float, population: float | None) -> dict[str, float]:
    num = len(d)
    of_examples = float(d.std()) * math.sqrt(unseen_share(num, population) / num) if num > 1 else math.nan
    return {name: float(d.mean()), f"{name}_standard_error": math.hypot(of_examples, of_log_z)}
