"""Encoding of contexts as vectors, by which models shift biases or extend the inputs of networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from dgmrun.protocols.values import Event

WORD, CAPTION = 32, 64
"""Sizes of the vectors of a word and of a caption."""


class ContextVector(nn.Module):
    """Maps contexts [batch, *event.shape] to vectors [batch, size].

    Classes are one-hot encoded, levels are scaled to [0, 1], counts n become log(1 + n), and captions have learned
    vectors in which the order of words matters; other kinds are left as they are. Without an event there is no vector.

    Args:
        event: event of the context, if any.
    """

    def __init__(self, event: Event | None) -> None:
        super().__init__()
        self.event = event
        self.size = 0 if event is None else _size(event)
        self.caption = Caption(event) if event is not None and event.kind == "tokens" else None

    def forward(self, context: Tensor | None, like: Tensor) -> Tensor | None:
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
        if self.caption is not None:
            told: Tensor = self.caption(flat)
            return told.to(like)
        if self.event.kind == "levels":
            return flat.to(like) / max(1, size - 1)
        return torch.log1p(flat.to(like)) if self.event.kind == "counts" else flat.to(like)


class Caption(nn.Module):
    """Vectors of captions: the state of a gated recurrent unit that has read the words, and the end if one follows.

    Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio (2014), Learning phrase representations
    using RNN encoder-decoder for statistical machine translation, https://arxiv.org/abs/1406.1078.

    Args:
        event: event of captions: tokens, of which 0 is the end.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.words = nn.Embedding(event.size or 0, WORD)
        self.reader = nn.GRU(WORD, CAPTION, batch_first=True)

    def forward(self, caption: Tensor) -> Tensor:
        """Maps captions [batch, length] to vectors [batch, size]; what follows the end has no influence."""
        states, _ = self.reader(self.words(caption))
        end = self.event.size_of(caption).long() - 1
        read: Tensor = states[torch.arange(len(caption), device=caption.device), end]
        return read


def _size(event: Event) -> int:
    if event.kind == "tokens":
        return CAPTION
    return event.dims * (event.size or 1) if event.kind == "categorical" else event.dims


def beside(x: Tensor, c: Tensor | None) -> Tensor:
    """Concatenates a context vector to the units of each example, or to the channels of each image.

    Args:
        x: units [..., batch, units], or images [batch, channels, height, width].
        c: vectors [batch, size], or images of the same height and width; None to return `x` as it is.
    """
    if c is None:
        return x
    if x.dim() == 4:
        image = c if c.dim() == 4 else c[..., None, None]
        return torch.cat((x, image.expand(-1, -1, *x.shape[2:])), 1)
    return torch.cat((x, c.expand(*x.shape[:-1], -1)), -1)
