"""Encoding of contexts as vectors, by which models shift biases or extend the inputs of networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dgmrun.protocols.values import Event


class ContextVector:
    """Maps contexts [batch, *event.shape] to vectors [batch, size], without parameters.

    Classes are one-hot encoded, levels are scaled to [0, 1], counts n become log(1 + n), and strings become the counts
    of each word; other kinds are left as they are. Without an event there is no vector.

    Args:
        event: event of the context, if any.
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
        """Returns the vectors, with the data type and device of `like`.

        Raises:
            ValueError: the context is missing, or the model takes none.
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
    """Concatenates a context vector to the units of each example, or to the channels of each image.

    Args:
        x: units [..., batch, units], or images [batch, channels, height, width].
        c: vectors [batch, size]; None to return `x` as it is.
    """
    if c is None:
        return x
    if x.dim() == 4:
        return torch.cat((x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])), 1)
    return torch.cat((x, c.expand(*x.shape[:-1], -1)), -1)
