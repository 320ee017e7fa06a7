"""Passes through the layers of a latent variable model: how each layer is drawn, and what a pass leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

Draw = Callable[[int, "Distribution"], "Tensor"]
"""From the number of a layer, bottom first, and its distribution to values [samples, batch, units]."""


def sampled(num: int) -> Draw:
    """`num` samples for each example, without a gradient."""
    return lambda layer, q: q.sample(_further(num, q))


def reparameterised(num: int) -> Draw:
    """`num` samples for each example, differentiable in the parameters of their distributions."""
    return lambda layer, q: q.rsample(_further(num, q))


def mean(layer: int, q: Distribution) -> Tensor:
    """The mean of the layer, as one sample."""
    return q.mean.expand(*_further(1, q), *q.mean.shape)


def given(z: Sequence[Tensor]) -> Draw:
    """These values, one tensor for each layer."""
    return lambda layer, q: z[layer]


def _further(num: int, q: Distribution) -> tuple[int, ...]:
    """The axis of samples, unless `q` has it from the layer below."""
    return (num,) if len(q.batch_shape) == 2 else ()


class Trace(NamedTuple):
    """One pass of examples x through the layers z_1 (next to x) to z_L of a latent variable model.

    Args:
        z: values of each layer, [samples, batch, units], bottom first.
        q: the posterior of each layer given x and the layers below, unit by unit.
        p: the distribution of each layer given the layer above, unit by unit; the last is the prior.
        log_px: log p(x | z_1), [samples, batch].
    """

    z: list[Tensor]
    q: list[Distribution]
    p: list[Distribution]
    log_px: Tensor

    @property
    def log_p(self) -> list[Tensor]:
        """log p(x | z_1), then log p(z_l | z_l+1) of each layer, [samples, batch]."""
        return [self.log_px, *(p.log_prob(z).sum(-1) for p, z in zip(self.p, self.z, strict=True))]

    @property
    def log_q(self) -> list[Tensor]:
        """log q(z_l | z_l-1) of each layer, [samples, batch]."""
        return [q.log_prob(z).sum(-1) for q, z in zip(self.q, self.z, strict=True)]

    @property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z | x), [samples, batch]: the mean of w is an unbiased estimate of p(x)."""
        return sum(self.log_p) - sum(self.log_q)  # type: ignore[return-value]
