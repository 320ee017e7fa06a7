"""A density of real numbers for tests of what lies around a model: independent Gaussians, fitted before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.protocols.values import Event


class Normal(nn.Module):
    """N(mean, deviation^2) in each dimension."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.mean, self.log_deviation = (nn.Parameter(torch.zeros(event.shape)) for _ in range(2))

    def initialise(self, x: Tensor) -> None:
        """Fits exactly; a dimension that hardly varies is given some room."""
        deviation, mean = torch.std_mean(x.double(), dim=0, correction=0)
        with torch.no_grad():
            self.mean.copy_(mean)
            self.log_deviation.copy_(deviation.clamp(min=1e-3).log())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """[batch]."""
        density = torch.distributions.Normal(self.mean, self.log_deviation.exp())
        return density.log_prob(x).flatten(1).sum(1)

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """[num, *event.shape]."""
        return torch.distributions.Normal(self.mean, self.log_deviation.exp()).sample((num,))
