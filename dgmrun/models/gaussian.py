r"""Round Gaussian, x = mu + sigma z: the smallest model that likelihood can fit, and a critic, too.

.. math:: p(x) = N(\mu, \sigma^2 I)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dgmrun.protocols.values import Event


class Gaussian(nn.Module):
    """Its density is known, and its samples have derivatives: likelihood fits it, and so does a critic.

    Args:
        event: what one example is; it must be real.

    Raises:
        ValueError: names the key.

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
        """z, [num, *event.shape]."""
        return torch.randn_like(self.mean.expand(num, *self.event.shape))

    def generate(self, noise: Tensor, context: None = None) -> Tensor:
        """x [num, *event.shape] of z, differentiable."""
        return self.mean + self.log_scale.exp() * noise

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generate(self.noise(num))
