"""What both Wasserstein objectives share: the critic is paid by its outputs as they are."""

from __future__ import annotations

from abc import ABC

from torch import Tensor

from dgmrun.objectives.adversarial import Adversarial


class Wasserstein(Adversarial, ABC):
    """A subclass bounds the critic's slope."""

    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and -f(g(z)), in units of x where the slope is at most 1."""
        return f_x, -f_sample

    def divergence(self, payoff: Tensor) -> Tensor:
        """An estimate of the Wasserstein distance, as far as the critic knows it."""
        return payoff

    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """-E[f(g(z))]."""
        return -f_sample.mean()
