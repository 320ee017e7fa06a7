r"""Layers of autoregressive models of pictures whose features are states of convolutional LSTMs.

.. math::
    [o, f, i, g] = \sigma, \sigma, \sigma, \tanh(K^{ss} * h' + K^{is} * x + V y), \quad
    c = f \odot c' + i \odot g, \quad h = o \odot \tanh(c)

for the states h' and c' of the step before: in a `RowStates` of the row above, in a `DiagonalStates` of the diagonal
before.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    sections 3.1 to 3.3, equation 3, figures 3 and 5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dgmrun.nn.causal import CausalConv2d, lowered
from dgmrun.nn.pixel_layers import Cached, Features, Layer


class RowStates(Layer):
    """h + W LSTM(h) with half as many states, from the top row to the bottom; a state sees three of the row above.

    Of the rows above it sees a triangle: one pixel more to either side for each row.

    Args:
        colour: colour of each channel of h.
        told: size of y; 0 for none.
    """

    def __init__(self, colour: Tensor, told: int = 0) -> None:
        super().__init__()
        half = colour[::2]
        self.inputs = CausalConv2d(colour, half.repeat(4), 3, told=told)
        self.states = nn.Linear(3 * len(half), 4 * len(half), bias=False)
        self.wide = CausalConv2d(half, colour, 1)

    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """See `Layer`."""
        rows = h.movedim(2, 0)
        gates = along(self.inputs, rows, y).transpose(2, 3)
        states, found = zeros(gates[0]), []
        for row in gates.unbind():
            states = lstm(product(row, sides(states[0]), self.states.weight.t()), states[1])
            found.append(states[0])
        return v, h + along(self.wide, torch.stack(found).transpose(2, 3), None).movedim(0, 2)

    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """See `Layer`."""
        return CachedRowStates(self, num, width, y)


class CachedRowStates(Cached):
    """See `RowStates`."""

    def __init__(self, layer: RowStates, num: int, width: int, y: Tensor | None) -> None:
        self.inputs, self.wide = layer.inputs.cached(num, width, y), layer.wide.cached(num, width, None)
        self.states = layer.states
        self.h, self.c = zeros(layer.states.weight.new_empty(num, width, layer.states.out_features))

    def row(self, v: Tensor | None) -> Tensor | None:
        """See `Cached`; adds up what all pixels have from the row above."""
        self.inputs.row()
        self.wide.row()
        self.start, self.above = self.states(sides(self.h)), self.c.clone()
        return v

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """See `Cached`."""
        gates = self.start[:, j] + self.inputs.pixel(j, h)
        self.h[:, j], self.c[:, j] = lstm(gates, self.above[:, j])
        return h + self.wide.pixel(j, self.h[:, j])


class DiagonalStates(Layer):
    """h + W (LSTM(h) + LSTM(mirrored h)), with half as many states in either; it sees h of all pixels before.

    The states of the second come from the right; they are shifted down by a row, so that none is of what comes after.

    Args:
        colour: colour of each channel of h.
        told: size of y; 0 for none.
    """

    def __init__(self, colour: Tensor, told: int = 0) -> None:
        super().__init__()
        half = colour[::2]
        self.left, self.right = Diagonals(colour, half, told), Diagonals(colour, half, told)
        self.wide = CausalConv2d(half, colour, 1)

    def forward(self, v: Tensor | None, h: Tensor, y: Tensor | None) -> Features:
        """See `Layer`."""
        found = self.left(h, y) + lowered(self.right(h.flip(-1), y).flip(-1))
        return v, h + self.wide(found.contiguous(memory_format=torch.channels_last))

    def cached(self, num: int, width: int, y: Tensor | None) -> Cached:
        """See `Layer`."""
        return CachedDiagonalStates(self, num, width, y)


class CachedDiagonalStates(Cached):
    """See `DiagonalStates`."""

    def __init__(self, layer: DiagonalStates, num: int, width: int, y: Tensor | None) -> None:
        self.left, self.right = (CachedDiagonals(each, num, width, y) for each in (layer.left, layer.right))
        self.wide, self.seen = layer.wide.cached(num, width, None), list[Tensor]()

    def row(self, v: Tensor | None) -> Tensor | None:
        """See `Cached`; reads the row above, which is complete, from right to left."""
        for each in (self.left, self.right, self.wide):
            each.row()
        for j, h in enumerate(reversed(self.seen)):
            self.right.pixel(j, h)
        self.above, self.seen = self.right.h[:, 1:].flip(1), []
        return v

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """See `Cached`."""
        self.seen[j:] = [h]
        return h + self.wide.pixel(j, self.left.pixel(j, h) + self.above[:, j])


class Diagonals(nn.Module):
    """An LSTM from the upper left corner to the lower right, a diagonal a step; a state sees those left and above.

    Args:
        colour: colour of each channel of its input.
        own: colour of each state.
        told: size of y; 0 for none.
    """

    def __init__(self, colour: Tensor, own: Tensor, told: int = 0) -> None:
        super().__init__()
        self.inputs = CausalConv2d(colour, own.repeat(4), 1, told=told)
        self.states = nn.Linear(2 * len(own), 4 * len(own), bias=False)

    def forward(self, h: Tensor, y: Tensor | None) -> Tensor:
        """States [batch, states, height, width], given h [batch, channels, height, width]."""
        height, width = h.shape[2:]
        gates = skew(self.inputs(h.contiguous(memory_format=torch.channels_last), y))
        (h, c), found = zeros(gates[:0]), []
        for step, diagonal in enumerate(gates.split(lengths(height, width))):
            # pads with zeros outside the picture, and where below zero drops a state that no pixel of the diagonal sees
            above = (0, 0, 0, 0, int(step < width), -int(step >= height))
            left = (0, 0, 0, 0, -int(step >= width), int(step < height))
            before = torch.cat((pad(h, left), pad(h, above)), -1)
            h, c = lstm(product(diagonal, before, self.states.weight.t()), pad(c, left))
            found.append(h)
        return unskew(torch.cat(found), height, width)


class CachedDiagonals:
    """See `Diagonals`; the states to the left of a picture are zero."""

    def __init__(self, layer: Diagonals, num: int, width: int, y: Tensor | None) -> None:
        self.inputs, self.states = layer.inputs.cached(num, width, y), layer.states
        self.h, self.c = zeros(layer.states.weight.new_empty(num, 1 + width, layer.states.out_features))

    def row(self) -> None:
        """Begins the next row."""
        self.inputs.row()
        self.above = self.h.clone()

    def pixel(self, j: int, h: Tensor) -> Tensor:
        """Returns the states [num, states] of column j, given its h [num, channels]."""
        before = torch.cat((self.h[:, j], self.above[:, j + 1]), -1)
        gates = self.states(before) + self.inputs.pixel(j, h)
        self.h[:, j + 1], self.c[:, j + 1] = lstm(gates, self.c[:, j])
        return self.h[:, j + 1]


def skew(x: Tensor) -> Tensor:
    """Orders the pixels of pictures [batch, channels, height, width] by diagonals: [pixels, batch, channels].

    A diagonal goes down and to the left; in the paper, each row is shifted by one, and it is a column.
    """
    return x.permute(2, 3, 0, 1).flatten(0, 1)[by_diagonal(x.shape[2], x.shape[3], x.device)]


def unskew(x: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `skew`."""
    return x[by_diagonal(height, width, x.device).argsort()].unflatten(0, (height, width)).permute(2, 3, 0, 1)


def by_diagonal(height: int, width: int, device: torch.device) -> Tensor:
    """Returns the pixels, numbered row by row, in the order of their diagonals, and from top to bottom in each."""
    steps = torch.arange(height, device=device)[:, None] + torch.arange(width, device=device)
    return steps.flatten().argsort(stable=True)


def lengths(height: int, width: int) -> list[int]:
    """Returns the number of pixels on each diagonal."""
    return [min(step + 1, height, width, height + width - 1 - step) for step in range(height + width - 1)]


def along(conv: CausalConv2d, rows: Tensor, y: Tensor | None) -> Tensor:
    """Returns a convolution [height, batch, outputs, width] that looks along rows [height, batch, inputs, width] alone.

    In memory its channels are last and rows first, as the steps of an LSTM read them.
    """
    pictures = rows.flatten(0, 1).unsqueeze(2).contiguous(memory_format=torch.channels_last)
    found = conv(pictures, None if y is None else y.repeat(len(rows), 1))
    return found.squeeze(2).unflatten(0, rows.shape[:2])


def zeros(gates: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the states h and c before the first step, for sums of gates [..., 4 states]."""
    h, c = gates.new_zeros(2, *gates.shape[:-1], gates.shape[-1] // 4)
    return h, c


def lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the states h and c after a step, given the sums of gates o, f, i, g [..., 4 states] and c before it."""
    size = c.shape[-1]
    ofi, g = gates.split((3 * size, size), -1)
    o, f, i = ofi.sigmoid().chunk(3, -1)
    c = f * c + i * g.tanh()
    return o * c.tanh(), c


def product(start: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Returns start + h weight, for as many pixels of as many pictures."""
    return torch.addmm(start.flatten(0, 1), h.flatten(0, 1), weight).view_as(start)


def sides(h: Tensor) -> Tensor:
    """Returns the states [batch, width, 3 states] to the left of, at and to the right of each of a row."""
    return torch.cat((pad(h, (0, 0, 1, -1)), h, pad(h, (0, 0, -1, 1))), -1)
