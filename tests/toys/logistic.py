"""Toy: a classifier, p(y | x) by logistic regression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.nn.context import ContextVector
from dgmrun.protocols.values import Event


class Logistic(nn.Module):
    """p(y | x) = softmax(W x + b)_y."""

    def __init__(self, event: Event, context: Event) -> None:
        super().__init__()
        event.require(("categorical",), "a classifier")
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.net = nn.Linear(self.vector.size, event.size or 0)

    def _log_p(self, context: Tensor | None) -> Tensor:
        return torch.log_softmax(self.net(self.vector(context, self.net.weight)), -1)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(y | x) of classes [batch], [batch]."""
        return self._log_p(context).gather(1, x[:, None])[:, 0]

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """[num]."""
        return torch.multinomial(self._log_p(context).exp(), 1)[:, 0]
