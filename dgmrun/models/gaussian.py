r"""Isotropic Gaussian, x = mu + sigma z: the smallest model that can be trained by likelihood and adversarially.

.. math:: p(x) = N(\mu, \sigma^2 I)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dgmrun.protocols.values import Event


class Gaussian(nn.Module):
    """An isotropic Gaussian with a tractable density and differentiable samples.

    Args:
        event: event of one example; it must be real.

    Raises:
        ValueError: the event is not real; the message names its key.

    Example:
        >>> Gaussian(Event((2,), "real")).log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        event.require(("real",), "a Gaussian")
        self.event = event
        self.mean = nn.Parameter(torch.randn(event.shape))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """log p(x), [batch]."""
        return Normal(self.mean, self.log_scale.exp(), validate_args=False).log_prob(x).flatten(1).sum(1)

    @torch.no_grad()
    def noise(self, num: int) -> Tensor:
        """Samples of z, [num, *event.shape]."""
        return torch.randn_like(self.mean.expand(num, *self.event.shape))

    def generate(self, noise: Tensor, context: None = None) -> Tensor:
        """Generates x [num, *event.shape] from z, differentiably."""
        return self.mean + self.log_scale.exp() * noise

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generate(self.noise(num))
