r"""Wasserstein GAN with gradient penalty: the critic is regularised towards slope 1 between examples and samples.

.. math:: E_q[f(x)] - E_p[f(x)] + \lambda\, E_{\hat x}[(|\nabla f(\hat x)| - 1)^2], \qquad
          \hat x = \epsilon x + (1 - \epsilon) g(z)

The optimum is not W_1: the optimal slope exceeds 1, and the payoff approaches W_1 from above as lambda grows.

References:
    Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville (2017), Improved training of Wasserstein GANs,
    https://arxiv.org/abs/1704.00028, equation 3 and algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.objectives.adversarial.base import lost
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.game import Function
from dgmrun.objectives.adversarial.wasserstein import Wasserstein
from dgmrun.objectives.base import Optimization


class WGANGP(Wasserstein):
    """Wasserstein GAN with a gradient penalty instead of weight clipping.

    Args:
        model: an implicit model.
        optimization: optimiser settings.
        critic: settings of the critic.
        k: number of critic steps for each generator step.
        penalty: weight lambda of the penalty.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    takes_bfloat16: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        critic: Critic,
        k: int = 5,
        penalty: float = 10.0,
    ) -> None:
        super().__init__(model, optimization, critic, k)
        if penalty <= 0:
            raise ValueError(f"`objective.penalty` must be positive, but is {penalty}")
        self.penalty = penalty

    def critic_loss(self, f: Function, x: Tensor, sample: Tensor) -> Tensor:
        """Returns minus the mean payoff, plus the penalty."""
        share = torch.rand(len(x), *[1] * (x.dim() - 1)).to(x)
        between = torch.lerp(sample, x, share).requires_grad_()
        (slope,) = torch.autograd.grad(f(between).sum(), between, create_graph=True)
        excess = slope.flatten(1).norm(dim=1) - 1
        payoff = self.payoff(f(x), f(sample))
        return lost(*payoff) + self.penalty * excess.square().mean()
