"""Samples and distributions recorded in a pass through a latent variable model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution


@dataclass(frozen=True)
class Trace:
    """Samples and distributions of the layers z_1 (next to x) to z_L of a latent variable model, given examples x.

    Args:
        z: values of each layer, [samples, batch, units], bottom first.
        q: posterior of each layer given x and the layers below; a layer of dependent units is one event.
        p: distribution of each layer given the layer above, likewise; the last is the prior.
        log_px: log p(x | z_1), [samples, batch].
        cost: what training pays for z beside -log p, in nats, [samples, batch]; None for nothing.
    """

    z: list[Tensor]
    q: list[Distribution]
    p: list[Distribution]
    log_px: Tensor
    cost: Tensor | None = None

    def charged(self) -> Trace:
        """The trace that training sees: log p(x | z_1) minus the cost, which then is no density."""
        return self if self.cost is None else replace(self, log_px=self.log_px - self.cost, cost=None)

    @cached_property
    def log_p(self) -> list[Tensor]:
        """log p(x | z_1), followed by log p(z_l | z_l+1) of each layer, [samples, batch]."""
        return [self.log_px, *(by_unit(p, z).sum(-1) for p, z in zip(self.p, self.z, strict=True))]

    @cached_property
    def log_q_units(self) -> list[Tensor]:
        """Terms of log q(z_l | z_l-1): one per unit, [samples, batch, units], or [..., 1] if the layer is one event."""
        return [by_unit(q, z) for q, z in zip(self.q, self.z, strict=True)]

    @cached_property
    def log_q(self) -> list[Tensor]:
        """log q(z_l | z_l-1) of each layer, [samples, batch]."""
        return [units.sum(-1) for units in self.log_q_units]

    @cached_property
    def log_w(self) -> Tensor:
        """Log importance weight, log p(x, z) - log q(z | x), [samples, batch]; the mean of w is unbiased for p(x)."""
        return sum(self.log_p) - sum(self.log_q)  # type: ignore[return-value]


def by_unit(distribution: Distribution, z: Tensor) -> Tensor:
    """Log-probabilities of the units of a layer, [..., units], or [..., 1] if the layer is one event."""
    log_prob: Tensor = distribution.log_prob(z)
    return log_prob.unsqueeze(-1) if distribution.event_shape else log_prob
