"""What both Wasserstein objectives share: the critic is paid by its outputs as they are."""

from __future__ import annotations

from abc import ABC

from torch import Tensor, nn

from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.base import Optimization


class Wasserstein(Adversarial, ABC):
    """A subclass bounds the critic's slope. A constant in its output would cancel: there is none."""

    def __init__(self, model: nn.Module, optimization: Optimization, critic: Critic, k: int) -> None:
        super().__init__(model, optimization, critic, k)
        *_, last = self.critic.modules()
        last.register_parameter("bias", None)

    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and -f(g(z)), in units of x where the slope is at most 1."""
        return f_x, -f_sample

    def divergence(self, payoff: Tensor) -> Tensor:
        """An estimate of the Wasserstein distance, as far as the critic knows it."""
        return payoff

    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """-E[f(g(z))]."""
        return -f_sample.mean()
