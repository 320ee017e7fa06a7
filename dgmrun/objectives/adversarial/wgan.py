r"""Wasserstein GAN: a critic of bounded slope, by weights that are clipped.

.. math:: W_1(p, q) = \max_{|f|_L \le 1} E_p[f(x)] - E_q[f(x)]

References:
    Arjovsky, Chintala and Bottou (2017), Wasserstein GAN, https://arxiv.org/abs/1701.07875, algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.objectives.adversarial.base import lost
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.wasserstein import Wasserstein
from dgmrun.objectives.base import Optimization


class WGAN(Wasserstein):
    """The critic's slope is bounded by a number that nobody knows, so that its payoff is a multiple of W_1 at most.

    Args:
        model: an implicit model.
        optimization: how parameters follow gradients.
        critic: what the other player is.
        k: steps of the critic to one of the generator.
        clip: largest absolute value of each of the critic's parameters.

    Raises:
        ValueError: names the key.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        critic: Critic,
        k: int = 5,
        clip: float = 0.01,
    ) -> None:
        super().__init__(model, optimization, critic, k)
        if clip <= 0:
            raise ValueError(f"`objective.clip` must be positive, but is {clip}")
        self.clip = clip
        self._clip()

    def critic_loss(self, x: Tensor, sample: Tensor) -> Tensor:
        """Minus its mean payoff."""
        return lost(*self.payoff(self.f(x), self.f(sample)))

    def moved(self, name: str) -> None:
        """A critic that has made a step is clipped."""
        if name == "critic":
            self._clip()

    @torch.no_grad()
    def _clip(self) -> None:
        for part in self.critic.parameters():
            part.clamp_(-self.clip, self.clip)
