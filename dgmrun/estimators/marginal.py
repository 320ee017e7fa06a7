r"""log p(x) of a latent variable model from samples of its posterior: lower bounds in the mean, in nats.

.. math:: E_q[\log w] \le E_q\Big[\log \frac{1}{K} \sum_i w_i\Big] \le \log p(x), \qquad w = p(x, z) / q(z \mid x)

References:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519.
    Wu, Burda, Salakhutdinov and Grosse (2017), https://arxiv.org/abs/1611.04273: how far below it can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun import draws
from dgmrun.bounds import elbo
from dgmrun.estimators.local import check_model, check_steps, local
from dgmrun.estimators.log_mean import counts
from dgmrun.protocols import Estimate, LatentVariableModel

Curve = list[tuple[int, float, float | None, float | None]]
TRACED = 20_000
"""Pairs of an example and a sample that are traced together."""
EXAMPLES = 500
AVERAGED = 20
"""Samples over which the mean of a layer above the first is taken."""
ACTIVE = 0.01
"""Variance over examples of a unit's posterior mean, above which Burda et al. call it active."""


@dataclass(frozen=True)
class ELBO:
    """The mean of log w: the bound that training by `elbo` raises.

    Args:
        num_samples: samples of z for each example.
        local_steps: steps by which each example's own posterior is fitted, from the net's; null for none, or for 200
            where the model has no net. The gain over none is the amortisation gap of the first layer.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = LatentVariableModel
    is_automatic: ClassVar[bool] = False
    simulates: ClassVar[int] = 0
    num_samples: int = 100
    local_steps: int | None = None

    def __post_init__(self) -> None:
        _check("elbo", self)

    def check(self, model: LatentVariableModel) -> None:
        """Only a reparameterised posterior can be fitted."""
        check_model("elbo", self.local_steps, model)

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        total = torch.cat([self._bound(model, block.float()) for block in x.split(EXAMPLES)])
        return total, lower_bound(total, asdict(self))

    @torch.no_grad()
    def _bound(self, model: Any, x: Tensor) -> Tensor:
        posterior = local(model, x, self.local_steps)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for num in _blocks(self.num_samples, len(x)):
            total += elbo(model.trace(x, draws.sampled(num), local=posterior)).double().sum(0)
        return total / self.num_samples


@dataclass(frozen=True)
class Importance:
    """The log of a mean weight of many samples: the usual figure of the literature, with 5,000.

    Costs a decoding for each example and sample. Even with 10^5 samples it can be a nat below log p(x).

    Args:
        num_samples: samples of z for each example, K.
        local_steps: as in `ELBO`.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = LatentVariableModel
    is_automatic: ClassVar[bool] = True
    simulates: ClassVar[int] = 0
    num_samples: int = 5000
    local_steps: int | None = None

    def __post_init__(self) -> None:
        _check("importance", self)

    def check(self, model: LatentVariableModel) -> None:
        """Only a reparameterised posterior can be fitted."""
        check_model("importance", self.local_steps, model)

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        blocks = [self._weighed(model, block.float()) for block in x.split(EXAMPLES)]
        bounds = torch.cat([block.bounds for block in blocks], 1)
        sizes = torch.cat([block.sample_size for block in blocks])
        means = [torch.cat(layer) for layer in zip(*(block.means for block in blocks), strict=True)]
        diagnostics: dict[str, float | None] = {"median_effective_sample_size": float(sizes.median())}
        diagnostics |= {f"active_units_{layer}": active_units(mean) for layer, mean in enumerate(means, 1)}
        rows = zip(counts(self.num_samples, 1), map(_mean_and_low, bounds), strict=True)
        curve: Curve = [(num, value, low, None) for num, (value, low) in rows]
        estimate = lower_bound(bounds[-1], asdict(self), diagnostics, curve)
        return bounds[-1], estimate

    @torch.no_grad()
    def _weighed(self, model: Any, x: Tensor) -> Weighed:
        """L_n of a block of examples for every n of the curve."""
        posterior = local(model, x, self.local_steps)
        means = posterior_means(model, x, posterior)
        total = x.new_full((len(x),), -math.inf, dtype=torch.float64)
        squares, bounds, done = total.clone(), [], 0
        for most in counts(self.num_samples, 1):
            for num in _blocks(most - done, len(x)):
                log_w = model.trace(x, draws.sampled(num), local=posterior).log_w.double()
                total = torch.logaddexp(total, torch.logsumexp(log_w, 0))
                squares = torch.logaddexp(squares, torch.logsumexp(2 * log_w, 0))
            done = most
            bounds.append(total - math.log(most))
        return Weighed(torch.stack(bounds), (2 * total - squares).exp(), means)


class Weighed(NamedTuple):
    """A block of examples.

    Args:
        bounds: L_n for every n of the curve, [counts, examples].
        sample_size: effective number of samples of each example.
        means: posterior means of each layer's units, [examples, units].
    """

    bounds: Tensor
    sample_size: Tensor
    means: list[Tensor]


def posterior_means(model: LatentVariableModel, x: Tensor, posterior: Tensor | None) -> list[Tensor]:
    """E_q[z] of each layer, [examples, units]; above the first a mean over samples of the layers below."""
    trace = model.trace(x, draws.sampled(AVERAGED), local=posterior)
    return [mean if mean.dim() == 2 else mean.mean(0) for mean in (q.mean for q in trace.q)]


def active_units(means: Tensor) -> int:
    """How many units' posterior means [examples, units] vary from example to example (Burda et al., section 5.2)."""
    return int((means.var(0) > ACTIVE).sum())


def lower_bound(
    bounds: Float64[Tensor, "examples"],
    settings: dict[str, Any],
    diagnostics: dict[str, float | None] | None = None,
    curve: Curve | None = None,
) -> Estimate:
    """The mean of the examples' bounds, with the error of so many examples and open above."""
    value, low = _mean_and_low(bounds)
    error = float(bounds.std()) / math.sqrt(len(bounds)) if len(bounds) > 1 else None
    return Estimate(
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


def _mean_and_low(bounds: Tensor) -> tuple[float, float | None]:
    value = float(bounds.mean())
    return value, value - 3 * float(bounds.std()) / math.sqrt(len(bounds)) if len(bounds) > 1 else None


def _blocks(samples: int, examples: int) -> Iterator[int]:
    """Numbers of samples to trace together, `samples` in all."""
    most = max(1, TRACED // examples)
    yield from (min(most, samples - done) for done in range(0, samples, most))


def _check(method: str, settings: Any) -> None:
    if settings.num_samples < 1:
        raise ValueError(f"`likelihood.{method}.num_samples` must be at least 1, but is {settings.num_samples}")
    check_steps(method, settings.local_steps)
