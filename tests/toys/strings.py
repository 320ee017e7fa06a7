"""Toy: strings of varying length, each token drawn by itself until the first 0, which is the end."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.protocols.values import Event


class Strings(nn.Module):
    """log p(x) counts up to and including the first 0."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        event.require(("tokens",), "a model of strings")
        assert event.size is not None
        self.event, self.logits = event, nn.Parameter(torch.zeros(event.size))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """[batch]."""
        before_end = torch.cat((torch.ones_like(x[:, :1]), x[:, :-1].ne(0).cumprod(1)), 1)
        return (torch.log_softmax(self.logits, 0)[x] * before_end).sum(-1)

    def sample(self, num: int, context: None = None) -> Tensor:
        """[num, length], whole numbers, 0 from the end on."""
        x = torch.multinomial(self.logits.softmax(0), num * self.event.dims, replacement=True)
        x = x.reshape(num, self.event.dims)
        return x * x.ne(0).cumprod(1)
