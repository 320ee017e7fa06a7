"""What a model is conditioned on as a vector, which it adds to its biases or feeds to its nets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dgmrun.protocols.values import Event


class ContextVector:
    """From contexts [batch, *event.shape] to vectors [batch, size], without parameters.

    A class is a 1 among zeros, levels lie from 0 to 1, counts are taken the logarithm of, a string is how often each
    word occurs in it, and all other numbers are what they are. Without an event there is no vector.

    Args:
        event: what is given, if anything is.
    """

    def __init__(self, event: Event | None) -> None:
        self.event = event
        self.size = 0 if event is None else self._size(event)

    @staticmethod
    def _size(event: Event) -> int:
        if event.size is None or event.kind == "levels":
            return event.dims
        return event.size * (event.dims if event.kind == "categorical" else 1)

    def __call__(self, context: Tensor | None, like: Tensor) -> Tensor | None:
        """The vectors, of the type of `like`.

        Raises:
            ValueError: a context is lacking, or there is one that the model was not made for.
        """
        if (context is None) != (self.event is None):
            raise ValueError(
                f"a context must be {self.event or 'absent'}, but is {'absent' if context is None else 'there'}"
            )
        if context is None or self.event is None:
            return None
        flat, size = context.reshape(len(context), -1), self.event.size or 1
        if self.event.kind == "categorical":
            return one_hot(flat, size).flatten(1).to(like)
        if self.event.kind == "tokens":
            return one_hot(flat, size).sum(1).to(like)
        if self.event.kind == "levels":
            return flat.to(like) / max(1, size - 1)
        return torch.log1p(flat.to(like)) if self.event.kind == "counts" else flat.to(like)


def beside(x: Tensor, c: Tensor | None) -> Tensor:
    """`x` with a vector for each example beside its units.

    Args:
        x: [..., batch, units], or pictures [batch, channels, height, width], of which the vector makes channels.
        c: [batch, size]; None for nothing.
    """
    if c is None:
        return x
    if x.dim() == 4:
        return torch.cat((x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])), 1)
    return torch.cat((x, c.expand(*x.shape[:-1], -1)), -1)
