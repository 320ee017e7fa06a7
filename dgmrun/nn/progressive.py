r"""Progressively grown networks between vectors and pictures: a block for each resolution, of which more and more work.

Between two resolutions, that of j and that of j + 1, the output of the lower one, enlarged, is blended with that of the
higher one:

.. math:: x = (1 - \alpha)\, \mathrm{up}(x_j) + \alpha\, x_{j+1}

Weights are drawn from N(0, 1) and multiplied by the constant of He et al. (2015) whenever they are used, so that the
optimiser's steps have the same size relative to each (equalised learning rate).

References:
    Karras, Aila, Laine and Lehtinen (2018), Progressive growing of GANs for improved quality, stability, and variation,
    https://arxiv.org/abs/1710.10196, sections 2 to 4, figure 2 and table 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, linear

from dgmrun.nn.mlp import ACTIVATIONS

LEAST = 4
"""Smallest side of a picture that is made by halving."""
EPSILON = 1e-8
"""What is added to mean squares before their roots are taken, as published."""


def resolutions(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Heights and widths of a picture, lowest resolution first: halved while both are even, and half is at least 4."""
    *_, height, width = shape
    if height % 2 or width % 2 or min(height, width) < 2 * LEAST:
        return [(height, width)]
    return [*resolutions((height // 2, width // 2)), (height, width)]


def enlarged(x: Tensor, times: int) -> Tensor:
    """Repeats each pixel of pictures 2^times times along both sides."""
    return interpolate(x, scale_factor=2**times) if times else x


def reduced(x: Tensor, times: int) -> Tensor:
    """Averages the pixels of pictures over squares with a side of 2^times."""
    return avg_pool2d(x, 2**times) if times else x


class Resolution(nn.Module):
    """The resolution at which a network works, from 0, the lowest, to `last`; between whole ones, two are blended.

    It is a buffer, so that weights are saved with the resolution at which they were trained.
    """

    def __init__(self, last: int, now: int) -> None:
        super().__init__()
        self.last = last
        self.register_buffer("now", torch.tensor(float(now)))

    def grow(self, resolution: float) -> None:
        """Sets the resolution, at most the last; at j + alpha, that of j has the weight 1 - alpha, and j + 1 alpha."""
        self.get_buffer("now").fill_(min(resolution, self.last))

    def forward(self) -> tuple[int, float]:
        """Returns the higher resolution, j + 1, and its weight alpha, above 0; it is 1 where there is only one."""
        now = float(self.get_buffer("now"))
        place = math.ceil(now)
        return place, now - place + 1

    def shown(self, x: Tensor) -> Tensor:
        """Returns pictures [batch, C, H, W] at this resolution, of unchanged shape, blended as those of a network."""
        place, alpha = self()
        x = reduced(x, self.last - place)
        if alpha < 1:
            x = torch.lerp(enlarged(reduced(x, 1), 1), x, alpha)
        return enlarged(x, self.last - place)

    def grain(self, x: Tensor) -> Tensor:
        """Returns noise N(0, 1) of the shape of pictures: a draw for each pixel of this resolution, repeated over it.

        Between two resolutions, it is the sum of noise of the lower one with the variance 1 - alpha and of noise of the
        higher one with alpha. Noise of single pixels would be averaged away where a critic averages pixels.
        """
        place, alpha = self()
        times = self.last - place
        noise = torch.randn_like(x[..., :: 2**times, :: 2**times])
        if alpha < 1:
            lower = enlarged(torch.randn_like(noise[..., ::2, ::2]), 1)
            noise = math.sqrt(1 - alpha) * lower + math.sqrt(alpha) * noise
        return enlarged(noise, times)


class Equalised(nn.Module):
    """Layer with an equalised learning rate, which uses `weight` times `scale`."""

    weight: Tensor
    scale: float


class Linear(Equalised, nn.Linear):
    """Linear layer with an equalised learning rate; `gain` squared is 2 before a rectifier, and 1 before an output."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2)) -> None:
        super().__init__(inputs, outputs)
        self.scale = _equalised(self, gain)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs] to [batch, outputs]."""
        return linear(x, self.weight * self.scale, self.bias)


class Conv2d(Equalised, nn.Conv2d):
    """Convolution with an odd kernel and an equalised learning rate, which keeps the sides of pictures."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = math.sqrt(2)) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.scale = _equalised(self, gain)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, H, W] to [batch, outputs, H, W]."""
        return conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def _equalised(layer: nn.Linear | nn.Conv2d, gain: float) -> float:
    """Draws weights from N(0, 1), sets biases to 0, and returns the factor of the weights, gain / sqrt(fan_in)."""
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return gain / math.sqrt(layer.weight[0].numel())


class PixelNorm(nn.Module):
    """Divides the vector of channels of each pixel, or the units of each example, by the root of its mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, C, ...] to the same shape, with a mean square over C of 1."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


class MinibatchDeviation(nn.Module):
    r"""Appends a channel with the standard deviation over the batch, averaged over all channels and pixels.

    .. math:: \frac{1}{CHW} \sum_{chw} \sqrt{v_{chw} + \epsilon} - \sqrt{\epsilon}

    A network thereby sees how much its inputs differ. The batch is taken as one group, as in the text of the paper; its
    code takes groups of 4, and does not subtract the constant, without which equal examples would seem to deviate. With
    epsilon, slopes are finite where they are equal.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, C, H, W] to [batch, C + 1, H, W]."""
        variance = (x - x.mean(0)).square().mean(0)
        deviation = (variance + EPSILON).sqrt().mean() - math.sqrt(EPSILON)
        return torch.cat((x, deviation.expand(len(x), 1, *x.shape[2:])), 1)


class Decoder(nn.Module):
    """Network from vectors [batch, inputs] to pictures [batch, *shape], which begins at the lowest resolution.

    Pictures of a lower resolution have the full shape, too, as each of their pixels is repeated.

    Args:
        shape: (channels, height, width) of a picture.
        width: number of channels of features at full resolution; twice as many at half of it, and so on.
        depth: number of layers of each block: convolutions but for the first one, which is linear.
        inputs: size of the vectors.
        squash: activation of the pixels.
    """

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, inputs: int, squash: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        sides, channels = resolutions(shape), _channels(shape, width)
        size = (channels[0], *sides[0])
        first = (Linear(inputs, math.prod(size)), nn.Unflatten(1, size), nn.LeakyReLU(0.2), PixelNorm())
        self.resolution = Resolution(len(sides) - 1, now=0)
        self.blocks = nn.ModuleList([nn.Sequential(*first, *_normed([channels[0]] * depth))])
        self.blocks.extend(
            nn.Sequential(nn.Upsample(scale_factor=2), *_normed([below, *[above] * depth]))
            for below, above in pairwise(channels)
        )
        self.pictures = nn.ModuleList(nn.Sequential(Conv2d(each, shape[0], 1, gain=1), squash()) for each in channels)

    def forward(self, z: Tensor) -> Tensor:
        """Returns pictures at the present resolution."""
        place, alpha = self.resolution()
        before = h = z
        for block in self.blocks[: place + 1]:
            before, h = h, block(h)
        x = self.pictures[place](h)
        if alpha < 1:
            x = torch.lerp(enlarged(self.pictures[place - 1](before), 1), x, alpha)
        return enlarged(x, self.resolution.last - place)


class Encoder(nn.Module):
    """Network from pictures [batch, *shape] to vectors [batch, outputs]: a `Decoder` in reverse, without its norms.

    It averages pictures down to the present resolution, and begins at the full one, until it is told to `grow`.

    Args:
        shape: (channels, height, width) of a picture.
        width: number of channels of features at full resolution; twice as many at half of it, and so on.
        depth: number of layers of each block: convolutions but for the last one of the lowest resolution, which is
            linear.
        outputs: size of the vectors.
        activation: key of ACTIVATIONS.

    Raises:
        ValueError: the examples are not pictures, or the depth is 0.
    """

    def __init__(self, shape: Sequence[int], width: int, depth: int, outputs: int, activation: str) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"`model.network` must be mlp but for pictures, and an example is {list(shape)}")
        if depth < 1:
            raise ValueError(f"`model.depth` must be at least 1 for a progressive network, but is {depth}")
        sides, channels, act = resolutions(shape), _channels(shape, width), ACTIVATIONS[activation]
        lowest = channels[0]
        self.resolution = Resolution(len(sides) - 1, now=len(sides) - 1)
        self.features = nn.ModuleList(nn.Sequential(Conv2d(shape[0], each, 1), act()) for each in channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(*_convolutions([*[above] * depth, below], act), nn.AvgPool2d(2))
            for below, above in pairwise(channels)
        )
        self.head = nn.Sequential(
            MinibatchDeviation(),
            *_convolutions([lowest + 1, *[lowest] * (depth - 1)], act),
            nn.Flatten(),
            Linear((lowest + (depth == 1)) * math.prod(sides[0]), lowest),
            act(),
            Linear(lowest, outputs, gain=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Returns vectors for pictures, seen at the present resolution."""
        place, alpha = self.resolution()
        x = reduced(x, self.resolution.last - place)
        h = self.features[place](x)
        for at in range(place, 0, -1):
            h = self.blocks[at - 1](h)
            if alpha < 1 and at == place:
                h = torch.lerp(self.features[at - 1](reduced(x, 1)), h, alpha)
        vectors: Tensor = self.head(h)
        return vectors


def _channels(shape: Sequence[int], width: int) -> list[int]:
    """Returns the number of channels of features at each resolution, the lowest first."""
    return [width << place for place in reversed(range(len(resolutions(shape))))]


def _convolutions(channels: Sequence[int], act: Callable[[], nn.Module]) -> list[nn.Module]:
    return [layer for before, after in pairwise(channels) for layer in (Conv2d(before, after, 3), act())]


def _normed(channels: Sequence[int]) -> list[nn.Module]:
    return _convolutions(channels, lambda: nn.Sequential(nn.LeakyReLU(0.2), PixelNorm()))
