"""Log-likelihood of a density, log p(x) = log f(x) - log Z, with both sources of error.

The error of log Z is common to all examples, so it does not average out. A tractable density has log Z = 0.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.models import TractableDensity, roles
from dgmrun.protocols.values import Batch, Bias, Estimate, Kind, half_width
from dgmrun.rng import seeded

OPPOSITE: dict[Bias, Bias] = {"none": "none", "down": "up", "up": "down", "unknown": "unknown"}
KIND: dict[Kind, Kind] = {"upper_bound": "lower_bound", "lower_bound": "upper_bound"}
NORMALISED = Estimate("log_z", 0.0, 0.0, (0.0, 0.0), "exact", "none")
"""log Z of a tractable density."""
EXAMPLES, NUMBERS = 1000, 2**18
"""Most examples that are scored together, and most numbers that they consist of."""
LONE = "one example has no standard error"


@torch.no_grad()
def log_density(model: Any, batch: Batch, double: bool = True) -> Float[Tensor, "examples"]:
    """log f of every example, or log p if the model is tractable, computed in blocks.

    Args:
        model: the model.
        batch: the examples.
        double: whether in double precision, in which convolutions take several times as long, or in the model's own.
    """
    same, whole = in_double(model, batch) if double else (model, batch)
    size = max(1, min(EXAMPLES, NUMBERS // max(1, batch.x.shape[1:].numel())))
    is_tractable = roles(type(model)).density is TractableDensity

    def of_block(block: Batch) -> Tensor:
        log_f: Tensor = same.log_prob(block.x, block.context) if is_tractable else same.log_unnormalised(block.x)
        return log_f

    with seeded(0, "density"):  # which draws nothing, so that random numbers outside stay what they are
        return torch.cat(of_blocks(of_block, whole, size))


def in_double(model: Any, batch: Batch) -> tuple[Any, Batch]:
    """Returns copies of a model and of examples in double precision; whole numbers stay as they are."""
    real = {
        name: part.double() for name, part in batch._asdict().items() if part is not None and part.is_floating_point()
    }
    return deepcopy(model).double(), batch._replace(**real)


def log_likelihood(log_f: Float[Tensor, "examples"], log_z: Estimate, population: int | None = None) -> Estimate:
    r"""Mean log p(x) in nats per example.

    :math:`\mathrm{SE}^2 = \mathrm{sd}(\log f)^2 / N + \mathrm{SE}(\log Z)^2`, with the first term times 1 - N / M if
    the examples are from a population of M (Cochran, 1977, Sampling techniques, section 2.6): 0 for the whole of it.
    Each half-width of the interval likewise combines that of the mean over examples with the opposite half-width of
    the interval of log Z.

    Args:
        log_f: log f(x) of every example.
        log_z: estimate of log Z.
        population: number M of examples in the population, if it is finite.
    """
    num, unseen = len(log_f), unseen_share(len(log_f), population)
    of_many = float(log_f.std()) * math.sqrt(unseen / num) if num > 1 else None
    examples_error = of_many if unseen else 0.0
    value = float(log_f.mean()) - log_z.value
    return Estimate(
        "log_likelihood",
        value=value,
        standard_error=_hypot(examples_error, log_z.standard_error),
        interval=_interval(value, half_width(examples_error, num) if examples_error else examples_error, log_z),
        kind=KIND.get(log_z.kind, log_z.kind),
        bias=OPPOSITE[log_z.bias],
        samples=log_z.samples,
        effective_sample_size=log_z.effective_sample_size,
        settings=log_z.settings,
        diagnostics={
            "log_z": log_z.value,
            "standard_error_examples": examples_error,
            **_errors(log_z),
            **({} if population is None else {"population": population}),
        },
        warnings=log_z.warnings + [LONE] * (examples_error is None),
    )


def unseen_share(num: int, population: int | float | None) -> float:
    """Share of a population that `num` examples leave out; 1 if the population is infinite."""
    return max(0.0, 1 - num / (population or math.inf))


def _interval(value: float, of_examples: float | None, log_z: Estimate) -> tuple[float | None, float | None] | None:
    if log_z.interval is None or of_examples is None:
        return None
    below, above = (None if end is None else end - log_z.value for end in log_z.interval[::-1])
    low, high = _hypot(of_examples, below), _hypot(of_examples, above)
    return None if low is None else value - low, None if high is None else value + high


def _errors(log_z: Estimate) -> dict[str, float | None]:
    """Diagnostics by which figures that rest on different log Z are compared."""
    widths = [abs(end - log_z.value) for end in log_z.interval or () if end is not None]
    return {
        "standard_error_log_z": log_z.standard_error,
        "half_width_log_z": max(widths, default=None),
        "samples_log_z": log_z.samples,
    }


def less(log_f: Estimate, log_z: Estimate) -> Estimate:
    """Mean log p(x) from an estimate of the mean log f(x) and one of log Z, whose errors are independent.

    A bound on log f stays a bound if log Z is exact or a bound in the opposite direction; otherwise the direction of
    the error is unknown.
    """
    kinds, biases = {log_f.kind, KIND.get(log_z.kind, log_z.kind)} - {"exact"}, {log_f.bias, OPPOSITE[log_z.bias]}
    biases -= {"none"}
    ends = None
    if log_f.interval is not None and log_z.interval is not None:
        sides = zip(log_f.interval, log_z.interval[::-1], (-1, 1), strict=True)
        value = log_f.value - log_z.value
        lengths = [
            (sign, _hypot(None if a is None else a - log_f.value, None if b is None else b - log_z.value))
            for a, b, sign in sides
        ]
        low, high = (None if length is None else value + sign * length for sign, length in lengths)
        ends = (low, high)
    return Estimate(
        "log_likelihood",
        value=log_f.value - log_z.value,
        standard_error=_hypot(log_f.standard_error, log_z.standard_error),
        interval=ends,
        kind=kinds.pop() if len(kinds) == 1 else "estimate" if kinds else "exact",
        bias=biases.pop() if len(biases) == 1 else "unknown" if biases else "none",
        samples=log_f.samples,
        settings={**log_f.settings, "log_z": log_z.settings},
        diagnostics={**log_f.diagnostics, "log_z": log_z.value, **_errors(log_z)},
        warnings=log_f.warnings + log_z.warnings,
    )


def _hypot(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else math.hypot(a, b)
