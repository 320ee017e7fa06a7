"""Toy: a conditional density, x of independent bits given a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from dgmrun.nn.context import ContextVector
from dgmrun.protocols.values import Event


class Conditional(nn.Module):
    """p(x_i = 1 | c) = sigmoid(W c)_i."""

    def __init__(self, event: Event, context: Event) -> None:
        super().__init__()
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.weight = nn.Parameter(0.1 * torch.randn(event.dims, self.vector.size))

    def _of(self, context: Tensor | None) -> Bernoulli:
        return Bernoulli(logits=self.vector(context, self.weight) @ self.weight.t(), validate_args=False)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """[batch]."""
        return self._of(context).log_prob(x.flatten(1)).sum(-1)

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """[num, *event.shape]."""
        return self._of(context).sample().reshape(num, *self.event.shape)
