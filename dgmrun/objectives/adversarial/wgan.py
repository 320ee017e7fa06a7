r"""Wasserstein GAN: the slope of the critic is bounded by weight clipping.

.. math:: W_1(p, q) = \max_{|f|_L \le 1} E_p[f(x)] - E_q[f(x)]

References:
    Arjovsky, Chintala and Bottou (2017), Wasserstein GAN, https://arxiv.org/abs/1701.07875, algorithm 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmrun.nn.progressive import Equalised
from dgmrun.objectives.adversarial.base import DECAY, lost
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.game import Function
from dgmrun.objectives.adversarial.wasserstein import Wasserstein
from dgmrun.objectives.base import Optimization


class WGAN(Wasserstein):
    """Minimises an approximate multiple of W_1. The Lipschitz constant of the critic, and so the factor, is unknown.

    Each clipped layer shrinks what it is handed, so that the deeper a critic is, the larger `clip` must be; with
    `objective.critic.network=progressive`, `wgan_gp` is to be preferred.

    Args:
        model: an implicit model.
        optimization: optimiser settings.
        critic: settings of the critic.
        k: number of critic steps for each generator step.
        clip: largest absolute value of each of the critic's parameters as it is used, that is, of an equalised layer,
            times its constant.

    Raises:
        ValueError: a setting is invalid; the message names its key.
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
        layers = [layer for layer in self.critic.modules() if isinstance(layer, Equalised)]
        self.clip, self.scales = clip, {layer.weight: layer.scale for layer in layers}
        self._clip()
        self.rank_state["heard"] = torch.zeros(2)
        """Running sums of the payoff of a batch, in absolute value, and of the rounding of the critic's outputs."""

    def critic_loss(self, f: Function, x: Tensor, sample: Tensor) -> Tensor:
        """Returns minus the mean payoff."""
        f_x, f_sample = f(x), f(sample)
        loss = lost(*self.payoff(f_x, f_sample))
        outputs = torch.cat((f_x, f_sample)).detach()
        rounding = outputs.abs().mean() * torch.finfo(outputs.dtype).eps
        heard = self.rank_state["heard"]
        heard.lerp_(torch.stack((loss.detach().abs(), rounding)).to(heard), 1 - DECAY)
        return loss

    def moved(self, name: str) -> None:
        """Clips the critic's parameters after each of its steps."""
        if name == "critic":
            self._clip()

    def critic_doubts(self, loss: float = math.inf) -> list[str]:
        """Warns if clipping has made the critic constant, but for rounding."""
        paid, rounding = self.rank_state["heard"].tolist()
        if math.isinf(loss) or paid > rounding:
            return []
        return [
            "the critic's output is the same for samples and examples, as clipped weights shrink its inputs: it pays "
            "less than its output is rounded by; raise objective.clip, lower objective.critic.depth, or take "
            "objective=wgan_gp"
        ]

    @torch.no_grad()
    def _clip(self) -> None:
        for part in self.critic.parameters():
            most = self.clip / self.scales.get(part, 1.0)
            part.clamp_(-most, most)
