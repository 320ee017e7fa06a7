r"""Layers of autoregressive models of pictures.

Features h of a pixel depend on pixels before it in raster order, and features v of a row on rows above it alone. Each
layer maps both, for whole pictures by convolutions, or, in sampling, one pixel after another, where what earlier pixels
contribute is kept.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    section 3 and figure 5.
    van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu (2016), Conditional image generation with
    PixelCNN decoders, https://arxiv.org/abs/1606.05328, equations 2 and 4, figure 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from dgmrun.nn.causal import CausalConv2d, RowConv2d, lowered

Features = tuple[Tensor | None, Tensor]
"""v, if the model has it, and h, [batch, channels, height, width] each."""


class Layer(nn.Module, ABC):
    """Maps features of rows above, v, and of pixels before, h, to those of the next layer."""

    @abstractmethod
    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """Returns the features of the next layer, given those of this one and vectors y of contexts, if any."""

    @abstractmethod
    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """Begins at the top of `num` pictures of this width, without gradients."""


class Cached(ABC):
    """A layer at one pixel after another, in raster order."""

    @abstractmethod
    def row(self, v: Tensor | None) -> Tensor | None:
        """Begins the next row; maps its features v [num, channels, width], if there are any."""

    @abstractmethod
    def pixel(self, j: int, h: Tensor) -> Tensor:
        """Maps features h [num, channels] of column j; several times, as one colour after another is known."""


class First(Layer):
    """The first layer, from x: it sees no pixel itself, but its earlier colours.

    Args:
        below: colour of each channel of x.
        own: colour of each channel of h.
        kernel: odd size.
        rows: number of channels of v; 0 for none.
        told: size of y; 0 for none.
    """

    def __init__(self, below: Tensor, own: Tensor, kernel: int, rows: int = 0, told: int = 0) -> None:
        super().__init__()
        self.rows = RowConv2d(len(below), rows, kernel, told) if rows else None
        self.pixels = CausalConv2d(below, own, kernel, looks_up=True, is_first=True, told=told)

    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """Returns the first features of x, passed as `h`."""
        return None if self.rows is None else self.rows(lowered(h), y), self.pixels(h, y)

    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """See `Layer`."""
        return CachedFirst(self, num, width, y)


class CachedFirst(Cached):
    """See `First`."""

    def __init__(self, layer: First, num: int, width: int, y: Tensor | None) -> None:
        self.pixels = layer.pixels.cached(num, width, y)
        self.rows = None if layer.rows is None else layer.rows.cached(num, width, y)

    def row(self, v: Tensor | None) -> Tensor | None:
        """Returns features of the row above, which is complete."""
        reach = self.pixels.reach
        above = self.pixels.seen[:, :, -1, reach:-reach]
        found = None if self.rows is None else self.rows.row(above)
        self.pixels.row()
        return found

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """Returns features [num, channels] of a pixel, given what is known of it."""
        return self.pixels.pixel(j, h)


class Residual(Layer):
    """h + W relu(conv(relu(W' relu(h)))), with half as many channels within (PixelRNN, figure 5, left).

    Args:
        colour: colour of each channel of h.
        kernel: odd size.
        told: size of y; 0 for none.
    """

    def __init__(self, colour: Tensor, kernel: int, told: int = 0) -> None:
        super().__init__()
        half = colour[::2]
        self.narrow = CausalConv2d(colour, half, 1)
        self.conv = CausalConv2d(half, half, kernel, looks_up=True, told=told)
        self.wide = CausalConv2d(half, colour, 1)

    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """See `Layer`."""
        h = h.contiguous(memory_format=torch.channels_last)  # in which these convolutions are faster
        return v, h + self.wide(self.conv(self.narrow(h.relu()).relu(), y).relu())

    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """See `Layer`."""
        return CachedResidual(self, num, width, y)


class CachedResidual(Cached):
    """See `Residual`."""

    def __init__(self, layer: Residual, num: int, width: int, y: Tensor | None) -> None:
        self.convs = [conv.cached(num, width, y) for conv in (layer.narrow, layer.conv, layer.wide)]

    def row(self, v: Tensor | None) -> Tensor | None:
        """See `Cached`."""
        for conv in self.convs:
            conv.row()
        return v

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """See `Cached`."""
        found = h
        for conv in self.convs:
            found = conv.pixel(j, found.relu())
        return h + found


class Gated(Layer):
    r"""Vertical and horizontal stacks with gates, :math:`\tanh(W_f * x + V_f y) \odot \sigma(W_g * x + V_g y)`.

    v is convolved with its rows up to this one, and linked to h, which is convolved with pixels to the left: no pixel
    before is out of sight, as some are of masked convolutions (PixelCNN decoders, figures 1 and 2).

    Args:
        colour: colour of each channel of h; v has as many channels.
        kernel: odd size.
        told: size of y; 0 for none.
    """

    def __init__(self, colour: Tensor, kernel: int, told: int = 0) -> None:
        super().__init__()
        twice = colour.repeat(2)
        self.rows = RowConv2d(len(colour), len(twice), kernel, told)
        self.link = nn.Conv2d(len(twice), len(twice), 1)
        self.pixels = CausalConv2d(colour, twice, kernel, told=told)
        self.out = CausalConv2d(colour, colour, 1)

    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """See `Layer`."""
        rows = self.rows(v, y)
        return gate(rows), h + self.out(gate(self.pixels(h, y) + self.link(rows)))

    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """See `Layer`."""
        return CachedGated(self, num, width, y)


class CachedGated(Cached):
    """See `Gated`."""

    def __init__(self, layer: Gated, num: int, width: int, y: Tensor | None) -> None:
        self.rows, self.link = layer.rows.cached(num, width, y), layer.link
        self.pixels, self.out = layer.pixels.cached(num, width, y), layer.out.cached(num, width, None)

    def row(self, v: Tensor | None) -> Tensor | None:
        """See `Cached`."""
        assert v is not None
        rows = self.rows.row(v)
        self.linked = self.link(rows[:, :, None])[:, :, 0].permute(2, 0, 1).contiguous()
        self.pixels.row()
        return gate(rows)

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """See `Cached`."""
        return h + self.out.pixel(j, gate(self.pixels.pixel(j, h) + self.linked[j]))


def gate(x: Tensor) -> Tensor:
    """Returns tanh(f) sigmoid(g) for channels f, then g."""
    f, g = x.chunk(2, 1)
    return torch.tanh(f) * torch.sigmoid(g)
