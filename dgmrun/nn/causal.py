r"""Causal convolutions: features of a pixel from those of pixels that come before it in raster order.

Channels belong to the colours of a picture, whose order is part of the raster order: a feature of colour :math:`c` may
depend on colours :math:`c' < c` of the pixel itself, and above the first layer on :math:`c' \le c`.

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    sections 3.2 to 3.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


def colours(channels: int, number: int) -> Tensor:
    """Returns the colour of each of so many channels, in equal parts, 0 to `number` - 1."""
    return torch.arange(channels) * number // channels


class CausalConv2d(nn.Module):
    """Convolution with the pixels to the left, with the rows above if it looks up, and with the pixel itself.

    Args:
        below: colour of each input channel.
        own: colour of each output channel.
        kernel: odd size; the convolution reaches r = kernel // 2 pixels.
        looks_up: whether it sees the rows above, and not only the row of the pixel.
        is_first: whether it sees x, so that of a pixel itself only earlier colours may be seen.
        told: size of the vector y of a context, if any, of which V y is added.
    """

    mask: Tensor

    def __init__(
        self, below: Tensor, own: Tensor, kernel: int, looks_up: bool = False, is_first: bool = False, told: int = 0
    ) -> None:
        super().__init__()
        self.reach, self.up = kernel // 2, kernel // 2 if looks_up else 0  # as far up as to the right
        self.conv = nn.Conv2d(len(below), len(own), (self.up + 1, self.reach + 1 + self.up))
        self.told = nn.Linear(told, len(own), bias=False) if told else None
        mask = torch.ones_like(self.conv.weight)
        mask[:, :, -1, self.reach :] = 0
        mask[:, :, -1, self.reach] = (below < own[:, None]) if is_first else (below <= own[:, None])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Features [batch, outputs, height, width] of x [batch, inputs, height, width]."""
        weight = self.conv.weight * self.mask
        around = pad(x, (self.reach, self.up, self.up, 0)) if self.reach else x
        found = conv2d(around, weight, self.conv.bias)
        return found if self.told is None else found + self.told(y)[:, :, None, None]

    def cached(self, num: int, width: int, y: Tensor | None) -> CachedConv:
        """Begins at the top of `num` pictures."""
        return CachedConv(self, num, width, y)


class CachedConv:
    """A causal convolution at one pixel after another, which keeps the rows that it sees.

    Args:
        conv: the convolution.
        num: number of pictures.
        width: their width.
        y: vectors of their contexts, if any.
    """

    def __init__(self, conv: CausalConv2d, num: int, width: int, y: Tensor | None) -> None:
        weight = conv.conv.weight * conv.mask
        bias = conv.conv.get_parameter("bias") if conv.told is None else conv.conv.bias + conv.told(y)
        self.reach, self.bias = conv.reach, bias.expand(num, -1)
        self.above = weight[:, :, :-1] if conv.up else None
        self.left = weight[:, :, -1, : conv.reach + 1].flatten(1).t().contiguous()
        self.seen = weight.new_zeros(num, weight.shape[1], conv.up + 1, conv.reach + width + conv.up)
        self.start = [self.bias] * width

    def row(self) -> None:
        """Begins the next row: adds up what all its pixels have from rows above."""
        self.seen = torch.cat((self.seen[:, :, 1:], torch.zeros_like(self.seen[:, :, :1])), 2)
        if self.above is not None:
            found = conv2d(self.seen[:, :, :-1], self.above)[:, :, 0] + self.bias[:, :, None]
            self.start = list(found.permute(2, 0, 1).contiguous())

    def pixel(self, j: int, x: Tensor) -> Tensor:
        """Features [num, outputs] of the pixel in column j of the row, given its x [num, inputs]."""
        self.seen[:, :, -1, j + self.reach] = x
        return torch.addmm(self.start[j], self.seen[:, :, -1, j : j + self.reach + 1].flatten(1), self.left)


class RowConv2d(nn.Module):
    """Convolution with the row of a pixel, all of it, and with rows above.

    It is causal where features of a row depend on earlier rows alone, as those of x shifted down by a row do.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        kernel: odd size; the convolution reaches kernel // 2 pixels.
        told: size of the vector y of a context, if any, of which V y is added.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, told: int = 0) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, (self.reach + 1, kernel), padding=(0, self.reach))
        self.told = nn.Linear(told, outputs, bias=False) if told else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Features [batch, outputs, height, width] of x [batch, inputs, height, width]."""
        found: Tensor = self.conv(pad(x, (0, 0, self.reach, 0)))
        return found if self.told is None else found + self.told(y)[:, :, None, None]

    def cached(self, num: int, width: int, y: Tensor | None) -> CachedRows:
        """Begins at the top of `num` pictures."""
        return CachedRows(self, num, width, y)


class CachedRows:
    """A convolution with rows at one row after another, which keeps the rows that it sees; see `CachedConv`."""

    def __init__(self, conv: RowConv2d, num: int, width: int, y: Tensor | None) -> None:
        self.conv, self.told = conv.conv, None if conv.told is None else conv.told(y)[:, :, None]
        self.seen = self.conv.weight.new_zeros(num, self.conv.in_channels, conv.reach + 1, width)

    def row(self, x: Tensor) -> Tensor:
        """Features [num, outputs, width] of the next row, given its x [num, inputs, width]."""
        self.seen = torch.cat((self.seen[:, :, 1:], x[:, :, None]), 2)
        found: Tensor = self.conv(self.seen)[:, :, 0]
        return found if self.told is None else found + self.told


def lowered(x: Tensor) -> Tensor:
    """Shifts pictures [batch, channels, height, width] down by one row."""
    return pad(x[:, :, :-1], (0, 0, 1, 0))
