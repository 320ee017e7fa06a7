"""Functions shared by the likelihood methods of latent variable models: posterior means, and estimates from bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jaxtyping import Float64
from torch import Tensor
from torch.distributions import Distribution

from dgmrun.estimators.local import check_steps
from dgmrun.latent import draws
from dgmrun.latent.trace import Trace
from dgmrun.protocols.models import Inference
from dgmrun.protocols.values import Batch, Estimate, half_width

Curve = list[tuple[int, float, float | None, float | None]]


TRACED, CACHED = 20_000, 2**20
"""Largest number of pairs of example and sample that are traced together, and on a CPU that of their dimensions."""


EXAMPLES = 500


AVERAGED = 20
"""Number of samples over which the means of layers above the first are averaged."""


ACTIVE = 0.01
"""Variance over examples of a unit's posterior mean above which Burda et al. call the unit active."""


def posterior_means(model: Inference, batch: Batch, posterior: Tensor | None) -> list[Tensor]:
    """E_q[z] of each layer, [examples, units]; above the first layer, averaged over samples of the layers below.

    A posterior whose mean is not known, such as that of a flow, is averaged over samples, too.
    """
    trace = model.trace(batch.x, draws.sampled(AVERAGED), batch.context, posterior)
    means = [_mean(q, z) for q, z in zip(trace.q, trace.z, strict=True)]
    return [mean if mean.dim() == 2 else mean.mean(0) for mean in means]


def _mean(q: Distribution, z: Tensor) -> Tensor:
    try:
        return q.mean
    except NotImplementedError:
        return z


def active_units(means: Tensor) -> int:
    """Number of units whose posterior means [examples, units] vary over examples (Burda et al., section 5.2)."""
    return int((means.var(0, correction=min(1, len(means) - 1)) > ACTIVE).sum())


def lower_bound(
    bounds: Float64[Tensor, "examples"],
    settings: dict[str, Any],
    diagnostics: dict[str, float | None] | None = None,
    curve: Curve | None = None,
) -> Estimate:
    """Mean of the bounds of examples, with its standard error over examples and an interval open above."""
    value, low = mean_and_low(bounds)
    error = float(bounds.std()) / math.sqrt(len(bounds)) if len(bounds) > 1 else None
    return Estimate(
        "log_likelihood",
        value=value,
        standard_error=error,
        interval=None if error is None else (low, None),
        kind="lower_bound",
        bias="down",
        samples=settings.get("num_samples"),
        settings=settings,
        diagnostics=diagnostics or {},
        warnings=["one example has no standard error"] * (error is None),
        curve=curve or [],
    )


def mean_and_low(bounds: Tensor) -> tuple[float, float | None]:
    """Returns the mean and the lower end of its interval, which is None for a single example."""
    value, num = float(bounds.mean()), len(bounds)
    return value, value - half_width(float(bounds.std()) / math.sqrt(num), num) if num > 1 else None


def pairs(x: Tensor) -> int:
    """Number of pairs of one of the examples `x` and a sample to trace together: on a CPU, as many as its cache holds.

    Memory that does not fit costs a CPU more than the calls of smaller blocks; a GPU is busy with large ones only.
    """
    return max(1, min(TRACED, CACHED // max(1, x[0].numel()))) if x.device.type == "cpu" else TRACED


def traces(model: Any, batch: Batch, posterior: Tensor | None, samples: int) -> Iterator[tuple[slice, Trace]]:
    """Yields traces, each of a slice of the examples, which come to `samples` of each example.

    The samples of an example are traced together where possible, since they share one pass through the encoder.
    """
    most = pairs(batch.x)
    size = max(1, most // samples)
    for start in range(0, len(batch.x), size):
        rows = slice(start, start + size)
        x, _, context = batch.rows(rows)
        own = None if posterior is None else posterior[rows]
        for done in range(0, samples, most):
            yield rows, model.trace(x, draws.sampled(min(most, samples - done)), context, own)


def check_settings(method: str, settings: Any) -> None:
    """Checks `num_samples` and `local_steps` of a method.

    Raises:
        ValueError: one is invalid; the message names its key.
    """
    if settings.num_samples < 1:
        raise ValueError(f"`likelihood.{method}.num_samples` must be at least 1, but is {settings.num_samples}")
    check_steps(method, settings.local_steps)
