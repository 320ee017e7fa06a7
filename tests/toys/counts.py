"""Toy: counts of words, independent Poisson variables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Poisson

from dgmrun.protocols.values import Event


class Counts(nn.Module):
    """p(x) = prod_i Poisson(x_i; rate_i)."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        event.require(("counts",), "a model of counts")
        self.event, self.log_rate = event, nn.Parameter(torch.zeros(event.shape))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """[batch]."""
        return Poisson(self.log_rate.exp()).log_prob(x.float()).flatten(1).sum(-1)

    def sample(self, num: int, context: None = None) -> Tensor:
        """[num, *event.shape], whole numbers."""
        return Poisson(self.log_rate.exp()).sample((num,)).long()
