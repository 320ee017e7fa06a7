"""Base class of the Wasserstein objectives: the critic's payoff is its output."""

from __future__ import annotations

from abc import ABC

from torch import Tensor, nn

from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.base import Optimization


class Wasserstein(Adversarial, ABC):
    """A critic whose slope is bounded by the subclass. Its last layer has no bias, which would cancel in the payoff."""

    def __init__(self, model: nn.Module, optimization: Optimization, critic: Critic, k: int) -> None:
        super().__init__(model, optimization, critic, k)
        *_, last = self.critic.modules()
        last.register_parameter("bias", None)

    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """Returns f(x) and -f(g(z)), in units of x if the slope is at most 1."""
        return f_x, -f_sample

    def divergence(self, payoff: Tensor) -> Tensor:
        """Returns the payoff, as an estimate of the Wasserstein distance."""
        return payoff

    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """Returns -E[f(g(z))]."""
        return -f_sample.mean()
