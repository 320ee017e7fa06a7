"""Log-likelihood of a density: log p(x) = log f(x) - log Z, with both sources of error.

An error of log Z is an error of every example, so it does not average out. A tractable density is one whose log Z is
known to be 0.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.protocols.models import TractableDensity, UnnormalisedDensity
from dgmrun.protocols.values import Estimate

OPPOSITE = {"none": "none", "down": "up", "up": "down", "unknown": "unknown"}
KIND = {"upper_bound": "lower_bound", "lower_bound": "upper_bound"}
NORMALISED = Estimate(0.0, 0.0, (0.0, 0.0), "exact", "none")
"""log Z of a tractable density."""
BLOCK = 1000


@torch.no_grad()
def log_density(model: TractableDensity | UnnormalisedDensity, x: Tensor) -> Float[Tensor, "examples"]:
    """log f of every example, log p where the model is tractable; in blocks, float64."""
    log_f = model.log_prob if isinstance(model, TractableDensity) else model.log_unnormalised
    return torch.cat([log_f(block.float()).double() for block in x.split(BLOCK)])


def log_likelihood(log_f: Float[Tensor, "examples"], log_z: Estimate) -> Estimate:
    r"""Mean log p(x) in nats per example.

    :math:`\mathrm{SE}^2 = \mathrm{sd}(\log f)^2 / N + \mathrm{SE}(\log Z)^2`, and each side of the interval is put
    together in the same way from three standard errors of the examples and that side of the interval of log Z.

    Args:
        log_f: log f(x) of every example.
        log_z: the estimate of log Z that it rests on.
    """
    examples_error = float(log_f.std()) / math.sqrt(len(log_f)) if len(log_f) > 1 else None
    value = float(log_f.mean()) - log_z.value
    return Estimate(
        value=value,
        standard_error=_hypot(examples_error, log_z.standard_error),
        interval=_interval(value, examples_error, log_z),
        kind=KIND.get(log_z.kind, log_z.kind),
        bias=OPPOSITE[log_z.bias],
        samples=log_z.samples,
        effective_sample_size=log_z.effective_sample_size,
        settings=log_z.settings,
        diagnostics={
            "log_z": log_z.value,
            "standard_error_examples": examples_error,
            "standard_error_log_z": log_z.standard_error,
        },
        warnings=log_z.warnings + ["one example has no standard error"] * (examples_error is None),
    )


def _interval(value: float, examples_error: float | None, log_z: Estimate) -> tuple[float | None, float | None] | None:
    if log_z.interval is None or examples_error is None:
        return None
    below, above = (None if end is None else end - log_z.value for end in log_z.interval[::-1])
    low, high = _hypot(3 * examples_error, below), _hypot(3 * examples_error, above)
    return None if low is None else value - low, None if high is None else value + high


def _hypot(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else math.hypot(a, b)
