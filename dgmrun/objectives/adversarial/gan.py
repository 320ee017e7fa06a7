r"""Generative adversarial networks: the critic's outputs are log odds that it is shown an example.

.. math:: V(f, g) = E_x[\log \sigma(f(x))] + E_z[\log \sigma(-f(g(z)))] \le -\log 4 + 2\, \mathrm{JSD}(p_{data}, p_g)

equal where f is the log density ratio.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661, equations 1 and 6.
    Salimans et al. (2016), Improved techniques for training GANs, https://arxiv.org/abs/1606.03498, section 3.4.
    Sonderby, Caballero, Theis, Shi and Huszar (2017), Amortised MAP inference for image super-resolution,
    https://arxiv.org/abs/1610.04490: instance noise.
    Mescheder, Geiger and Nowozin (2018), Which training methods for GANs do actually converge?,
    https://arxiv.org/abs/1801.04406, equation 9: R1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli
from torch.nn.functional import softplus

from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.base import Optimization

LOSSES = ("non_saturating", "minimax")
FLOOR = 0.02
"""A critic whose loss is so little above its floor tells everything apart, in nats for an example and a sample."""


class GAN(Adversarial):
    """The game for V.

    Args:
        model: an implicit model.
        optimization: how parameters follow gradients.
        critic: what the other player is.
        k: steps of the critic to one of the generator.
        loss: of the generator: `minimax`, E[log sigma(-f)], or `non_saturating`, -E[log sigma(f)].
        smoothing: share by which the critic's target for examples is below 1.
        r1: gamma of gamma/2 E[|grad f(x)|^2] at examples, which is added to the critic's loss.

    Raises:
        ValueError: names the key.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        critic: Critic,
        k: int = 1,
        loss: str = "non_saturating",
        smoothing: float = 0.0,
        r1: float = 0.0,
    ) -> None:
        super().__init__(model, optimization, critic, k)
        if loss not in LOSSES:
            raise ValueError(f"`objective.loss` must be one of {', '.join(LOSSES)}, but is {loss}")
        if not 0 <= smoothing < 1:
            raise ValueError(f"`objective.smoothing` must be at least 0 and below 1, but is {smoothing}")
        if r1 < 0:
            raise ValueError(f"`objective.r1` must be at least 0, but is {r1}")
        self.is_minimax, self.smoothing, self.r1 = loss == "minimax", smoothing, r1

    def payoff(self, f_x: Tensor, f_sample: Tensor) -> tuple[Tensor, Tensor]:
        """log sigma(f(x)) and log sigma(-f(g(z))), in nats."""
        return -softplus(-f_x), -softplus(f_sample)

    def divergence(self, payoff: Tensor) -> Tensor:
        """A lower bound on the Jensen-Shannon divergence, (V + log 4) / 2, in nats."""
        return (payoff + math.log(4)) / 2

    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """E[log sigma(-f)], minimax, or -E[log sigma(f)], in nats for a sample."""
        return (-softplus(f_sample) if self.is_minimax else softplus(-f_sample)).mean()

    def critic_loss(self, x: Tensor, sample: Tensor) -> Tensor:
        """-V, with its targets smoothed, and R1."""
        x = x.detach().requires_grad_(self.r1 > 0)
        f_x = self.f(x)
        of_x, of_sample = self.payoff(f_x, self.f(sample))
        loss = self.smoothing * f_x.mean() - of_x.mean() - of_sample.mean()
        if not self.r1:
            return loss
        (slope,) = torch.autograd.grad(f_x.sum(), x, create_graph=True)
        return loss + self.r1 / 2 * slope.flatten(1).square().sum(1).mean()

    def critic_doubts(self) -> list[str]:
        """Whether the critic tells everything apart."""
        floor = float(Bernoulli(torch.tensor(self.smoothing)).entropy())
        loss, *_ = self.usual or (math.inf,)
        if loss >= floor + FLOOR:
            return []
        return [
            f"the critic tells every sample from every example: its loss is {loss:.3f} nats, near its floor "
            f"{floor:.3g}, and the generator learns little; raise objective.critic.noise or objective.r1, or lower "
            "objective.critic.rate",
        ]
