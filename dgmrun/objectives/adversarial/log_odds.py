r"""Base class of the objectives whose critic's output is the log-odds that its input is an example.

.. math:: V(f, g) = E_x[\log \sigma(f(x))] + E_z[\log \sigma(-f(g(z)))] \le -\log 4 + 2\, \mathrm{JSD}(p_{data}, p_g)

with equality if f is the log density ratio.

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
from abc import ABC

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli
from torch.nn.functional import softplus

from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.game import Function
from dgmrun.objectives.base import Optimization

LOSSES = ("non_saturating", "minimax")
FLOOR = 0.02
"""Distance in nats of the critic's loss from its minimum below which the critic separates the two perfectly."""


class LogOdds(Adversarial, ABC):
    """Minimises the Jensen-Shannon divergence as estimated by V, or its non-saturating variant.

    Args:
        model: an implicit model.
        optimization: optimiser settings.
        critic: settings of the critic.
        k: number of critic steps for each generator step.
        loss: loss of the generator: `minimax`, E[log sigma(-f)], or `non_saturating`, -E[log sigma(f)].
        smoothing: one-sided label smoothing: the critic's target for examples is 1 - smoothing.
        r1: gamma of the penalty gamma/2 E[|grad f(x)|^2] at examples, added to the critic's loss.

    Raises:
        ValueError: a setting is invalid; the message names its key.
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
        """Returns log sigma(f(x)) and log sigma(-f(g(z))), in nats."""
        return -softplus(-f_x), -softplus(f_sample)

    def divergence(self, payoff: Tensor) -> Tensor:
        """Returns a lower bound on the Jensen-Shannon divergence, (V + log 4) / 2, in nats."""
        return (payoff + math.log(4)) / 2

    def generator_loss(self, f_sample: Tensor) -> Tensor:
        """Returns E[log sigma(-f)] (minimax) or -E[log sigma(f)] (non-saturating), in nats per sample."""
        return (-softplus(f_sample) if self.is_minimax else softplus(-f_sample)).mean()

    def critic_loss(self, f: Function, x: Tensor, sample: Tensor) -> Tensor:
        """Returns -V with label smoothing, plus the R1 penalty."""
        x = x.detach().requires_grad_(self.r1 > 0)
        f_x = f(x)
        of_x, of_sample = self.payoff(f_x, f(sample))
        loss = self.smoothing * f_x.mean() - of_x.mean() - of_sample.mean()
        if not self.r1:
            return loss
        (slope,) = torch.autograd.grad(f_x.sum(), x, create_graph=True)
        return loss + self.r1 / 2 * slope.flatten(1).square().sum(1).mean()

    def critic_doubts(self, loss: float = math.inf) -> list[str]:
        """Warns if the critic separates samples from examples perfectly."""
        floor = float(Bernoulli(torch.tensor(self.smoothing)).entropy())
        if loss >= floor + FLOOR:
            return []
        return [
            f"the critic tells every sample from every example: its loss is {loss:.3f} nats, near its floor "
            f"{floor:.3g}, and the generator learns little; raise objective.critic.noise or objective.r1, or lower "
            "objective.critic.rate",
        ]
