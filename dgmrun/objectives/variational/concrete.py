r"""Concrete relaxation: the ELBO of relaxed binary units, by the reparameterisation trick.

Its gradient is biased for the ELBO of binary units. As the temperature tends to 0, the bias vanishes, but the variance
grows.

References:
    Maddison, Mnih and Teh (2017), The concrete distribution, https://arxiv.org/abs/1611.00712.
    Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax, https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution

from dgmrun.gradients.relaxation import logistic, uniform
from dgmrun.latent.draws import sampled
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.models import BinaryLatents
from dgmrun.protocols.values import Batch


class Concrete(Variational):
    """Maximises the ELBO of relaxed units. For comparison: the other objectives of binary units lack this bias.

    Args:
        model: a model with binary latent units, those of a layer independent given the layer below.
        optimization: optimiser settings.
        k: number of samples of z for each example; the estimate is averaged over them.
        temperature: temperature of the relaxation.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = BinaryLatents

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1, temperature: float = 0.5) -> None:
        super().__init__(model, optimization, k)
        if temperature <= 0:
            raise ValueError(f"`objective.temperature` must be positive, but is {temperature}")
        self.check_factorised()
        self.temperature = temperature

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the ELBO of relaxed units, and logs that of binary units, in nats per example."""
        relaxed = -self.trace(batch, self._relaxed).log_w.mean()
        with torch.no_grad():
            bound = -self.trace(batch, sampled(self.k)).log_w.mean()
        return relaxed, {"bound": bound}

    def _relaxed(self, layer: int, q: Distribution) -> Tensor:
        assert isinstance(q, Bernoulli)
        a = q.logits if q.logits.dim() > 2 else q.logits.expand(self.k, -1, -1)
        return torch.sigmoid(logistic(a, uniform(a)) / self.temperature)
