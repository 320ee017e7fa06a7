"""Networks that see a noisy example and how noisy it is: fully connected ones, and U-Nets for pictures.

References:
    Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, https://arxiv.org/abs/2006.11239, appendix B:
    a U-Net of residual blocks that are told the noise; without attention here.
    Perez, Strub, de Vries, Dumoulin and Courville (2018), FiLM, https://arxiv.org/abs/1709.07871.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from dgmrun.nn.mlp import linear

WAVES = 16
"""Number of sines, and of cosines, of the log signal-to-noise ratio that networks are told."""
GROUPS = 8
"""Largest number of groups of channels that are normalised together."""


class Noise(nn.Module):
    """Maps log signal-to-noise ratios [batch], and vectors of contexts [batch, told], to vectors [batch, size].

    Args:
        told: size of the vector of the context; 0 for none.
        size: size of the result.
    """

    waves: Tensor

    def __init__(self, told: int, size: int) -> None:
        super().__init__()
        self.register_buffer("waves", torch.logspace(math.log10(0.05), math.log10(3), WAVES), persistent=False)
        self.first, self.last = linear(2 * WAVES + 1, size), linear(size, size)
        self.told = linear(told, size) if told else None

    def forward(self, log_snr: Tensor, c: Tensor | None) -> Tensor:
        """Returns the vectors, to which a context adds its own."""
        angles = log_snr[:, None] * self.waves
        h = self.first(torch.cat((angles.sin(), angles.cos(), log_snr[:, None] / 10), 1))
        found: Tensor = silu(self.last(silu(h if self.told is None else h + self.told(c))))
        return found


def film(h: Tensor, shift_and_scale: Tensor) -> Tensor:
    """Scales and shifts the units of each example, or the channels of each picture."""
    shift, scale = shift_and_scale[(..., *[None] * (h.dim() - 2))].chunk(2, 1)
    return h * (1 + scale) + shift


class DenoisingMLP(nn.Module):
    """Hidden layers of units that are shifted and scaled by what is told; each but the first adds to the one before.

    Args:
        shape: shape of an example.
        outputs: number of outputs of each dimension.
        told: size of the vector of a context; 0 for none.
        width: number of units of each hidden layer.
        depth: number of hidden layers.
    """

    def __init__(self, shape: Sequence[int], outputs: int, told: int, width: int, depth: int) -> None:
        super().__init__()
        dims = math.prod(shape)
        self.shape, self.outputs = tuple(shape), outputs
        self.noise, self.first = Noise(told, width), linear(dims, width)
        self.layers = nn.ModuleList(linear(width, width) for _ in range(depth - 1))
        self.films = nn.ModuleList(linear(width, 2 * width) for _ in range(depth))
        self.last = linear(width, outputs * dims)
        _zero(self.last)

    def forward(self, z: Tensor, log_snr: Tensor, c: Tensor | None) -> Tensor:
        """Outputs [batch, outputs, *shape] of noisy examples z [batch, *shape]."""
        y = self.noise(log_snr, c)
        h = silu(film(self.first(z.reshape(len(z), -1)), self.films[0](y)))
        for layer, told in zip(self.layers, self.films[1:], strict=True):
            h = h + silu(film(layer(h), told(y)))
        found: Tensor = self.last(h)
        return found.unflatten(1, (self.outputs, *self.shape))


class Block(nn.Module):
    """Residual block of two convolutions, the second of which is told the noise.

    Args:
        inputs: number of channels of its input.
        channels: number of channels of its output.
        size: size of the vector that is told.
    """

    def __init__(self, inputs: int, channels: int, size: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(math.gcd(GROUPS, each), each) for each in (inputs, channels))
        self.convs = nn.ModuleList(nn.Conv2d(each, channels, 3, padding=1) for each in (inputs, channels))
        self.film = linear(size, 2 * channels)
        self.skip = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()
        _zero(self.convs[1])

    def forward(self, h: Tensor, y: Tensor) -> Tensor:
        """Maps pictures [batch, inputs, height, width], told vectors y [batch, size]."""
        found = self.convs[0](silu(self.norms[0](h)))
        skipped: Tensor = self.skip(h)
        return skipped + self.convs[1](silu(film(self.norms[1](found), self.film(y))))


class DenoisingUNet(nn.Module):
    """A U-Net: blocks at ever half the size and twice the channels, and back, beside what was before it was halved.

    Args:
        shape: (channels, height, width) of a picture; it is halved, twice at most, while its sides are at least 8.
        outputs: number of outputs of each dimension.
        told: size of the vector of a context; 0 for none.
        width: number of channels at full size.
        depth: number of blocks at each size, on the way down and on the way up.
    """

    def __init__(self, shape: Sequence[int], outputs: int, told: int, width: int, depth: int) -> None:
        super().__init__()
        colours, *sides = shape
        halvings = min(2, max(0, int(math.log2(min(sides))) - 2))
        widths, size = [width << place for place in range(halvings + 1)], 4 * width
        self.outputs, self.noise = outputs, Noise(told, size)
        self.first = nn.Conv2d(colours, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before = width
        for each in widths:
            self.down.append(_blocks([before, *[each] * depth], size))
            before = each
        for each in reversed(widths[:-1]):
            self.up.append(_blocks([before + each, *[each] * depth], size))
            before = each
        self.norm, self.last = (
            nn.GroupNorm(math.gcd(GROUPS, width), width),
            nn.Conv2d(width, outputs * colours, 3, padding=1),
        )
        _zero(self.last)

    def forward(self, z: Tensor, log_snr: Tensor, c: Tensor | None) -> Tensor:
        """Outputs [batch, outputs, *shape] of noisy pictures z [batch, *shape]."""
        y = self.noise(log_snr, c)
        h, before = self.first(z), list[Tensor]()
        for place, blocks in enumerate(self.down):
            h = avg_pool2d(h, 2, ceil_mode=True) if place else h
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, y)
            before.append(h)
        for blocks, skipped in zip(self.up, reversed(before[:-1]), strict=True):
            h = torch.cat((interpolate(h, skipped.shape[2:]), skipped), 1)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, y)
        found: Tensor = self.last(silu(self.norm(h)))
        return found.unflatten(1, (self.outputs, -1))


def _zero(layer: nn.Module) -> None:
    """Makes a layer start as zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _blocks(channels: Sequence[int], size: int) -> nn.ModuleList:
    return nn.ModuleList(Block(below, above, size) for below, above in zip(channels[:-1], channels[1:], strict=True))


NETWORKS = {"mlp": DenoisingMLP, "unet": DenoisingUNet}
