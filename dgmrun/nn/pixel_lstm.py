r"""Layers of autoregressive models of pictures whose features are states of convolutional LSTMs.

.. math::
    [o, f, i, g] = \sigma, \sigma, \sigma, \tanh(K^{ss} * h' + K^{is} * x + V y), \quad
    c = f \odot c' + i \odot g, \quad h = o \odot \tanh(c)

for the states h' and c' of the step before: of the row above in a `RowLSTM`.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    sections 3.1 and 3.3, equation 3, figure 5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dgmrun.nn.causal import CausalConv2d
from dgmrun.nn.pixel_layers import Cached, Features, Layer


class RowLSTM(Layer):
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
        return CachedRowLSTM(self, num, width, y)


class CachedRowLSTM(Cached):
    """See `RowLSTM`."""

    def __init__(self, layer: RowLSTM, num: int, width: int, y: Tensor | None) -> None:
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
    o, f, i = gates[..., : 3 * size].sigmoid().chunk(3, -1)
    c = f * c + i * gates[..., 3 * size :].tanh()
    return o * c.tanh(), c


def product(start: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Returns start + h weight, for as many pixels of as many pictures."""
    return torch.addmm(start.flatten(0, 1), h.flatten(0, 1), weight).view_as(start)


def sides(h: Tensor) -> Tensor:
    """Returns the states [batch, width, 3 states] to the left of, at and to the right of each of a row."""
    around = pad(h, (0, 0, 1, 1))
    return torch.cat((around[:, :-2], h, around[:, 2:]), -1)
