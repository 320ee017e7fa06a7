r"""Invertible layers of pictures, each with the logarithm of the volume by which it stretches.

A coupling keeps what its mask b selects, and changes the rest as a network of what it keeps says:

.. math:: y = b x + (1 - b) (x e^{s(b x)} + t(b x)), \qquad \log |\det \partial y / \partial x| = \sum (1 - b) s(b x)

References:
    Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, https://arxiv.org/abs/1605.08803,
    equation 9, sections 3.4 and 3.7: masks, networks and batch normalisation.
    Kingma and Dhariwal (2018), Glow, https://arxiv.org/abs/1807.03039, section 3.1: actnorm.
    Salimans and Kingma (2016), https://arxiv.org/abs/1602.07868: weight normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from torch.nn.utils.parametrizations import weight_norm

from dgmrun.nn.context import beside


class ResNet(nn.Module):
    """Residual network of weight-normalised 3 x 3 convolutions, which starts as 0.

    Args:
        inputs: number of channels that it takes.
        outputs: number of channels that it gives.
        feature_maps: number of channels between.
        blocks: number of residual blocks, of two convolutions each.
    """

    def __init__(self, inputs: int, outputs: int, feature_maps: int, blocks: int) -> None:
        super().__init__()
        self.first, self.last = _convolution(inputs, feature_maps), _convolution(feature_maps, outputs)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), _convolution(feature_maps, feature_maps), nn.ReLU(), _convolution(feature_maps, feature_maps)
            )
            for _ in range(blocks)
        )
        nn.init.zeros_(self.last.parametrizations.weight.original0)  # type: ignore[union-attr, arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures [batch, inputs, height, width] to [batch, outputs, height, width]."""
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        outputs: Tensor = self.last(h.relu())
        return outputs


def _convolution(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return weight_norm(layer)


class Coupling(nn.Module):
    """Affine coupling, which starts as the identity; s is a learned scale of each channel times a tanh.

    Args:
        mask: what is kept, 1, and what is changed, 0, [channels, height, width] or what expands to it.
        channels: number of channels of x.
        told: number of channels of the context.
        feature_maps: number of channels between the layers of the network of s and t.
        blocks: number of its residual blocks.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, channels: int, told: int, feature_maps: int, blocks: int) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float(), persistent=False)
        self.net = ResNet(channels + told, 2 * channels, feature_maps, blocks)
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and log |det dy/dx| [batch]."""
        s, t = self._change(x, c)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, y: Tensor, c: Tensor | None) -> Tensor:
        """x."""
        s, t = self._change(y, c)
        return (y - t) * (-s).exp()

    def _change(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and t, which are 0 where the mask is 1."""
        s, t = self.net(beside(self.mask * x, c)).chunk(2, 1)
        return (1 - self.mask) * _by_channel(self.scale) * s.tanh(), (1 - self.mask) * t


def checkerboard(shape: Sequence[int], parity: int) -> Tensor:
    """Mask [height, width] of every other pixel, those where row plus column plus parity is odd."""
    *_, height, width = shape
    return (torch.arange(height)[:, None] + torch.arange(width) + parity) % 2


def channelwise(channels: int, parity: int) -> Tensor:
    """Mask [channels, 1, 1] of the second half of the channels, or for parity 1 of the first."""
    return ((torch.arange(channels) >= channels // 2).long() + parity)[:, None, None] % 2


class Squeeze(nn.Module):
    """Makes each 2 x 2 square of pixels one pixel of four times the channels: those of the first pixel, then others.

    So the first half of the channels is of the even rows, and no checkerboard.
    """

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and 0 [batch]."""
        return pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor, c: Tensor | None) -> Tensor:
        """x."""
        return pixel_shuffle(y.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)


class ActNorm(nn.Module):
    """An offset and a scale of each channel, learned from where the first data have mean 0 and standard deviation 1.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fits both to `x`."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        self.bias.copy_(-mean)
        self.log_scale.copy_(-0.5 * (variance + EPSILON).log())

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and log |det dy/dx| [batch]."""
        y = (x + _by_channel(self.bias)) * _by_channel(self.log_scale).exp()
        return y, _volume(self.log_scale, x)

    def inverse(self, y: Tensor, c: Tensor | None) -> Tensor:
        """x."""
        return y * _by_channel(-self.log_scale).exp() - _by_channel(self.bias)


class BatchNorm(nn.Module):
    """Subtracts the mean of each channel and divides by its standard deviation, which count as constants of the volume.

    Both are those of the batch in training and running averages in evaluation.

    Args:
        channels: number of channels.
        momentum: weight of a batch in the running averages.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.momentum = momentum

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fits the running averages to `x`."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        self.mean.copy_(mean)
        self.variance.copy_(variance)

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and log |det dy/dx| [batch], as if mean and deviation did not depend on x."""
        mean, variance = self.mean, self.variance
        if self.training:
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            self.mean.lerp_(mean.detach(), self.momentum)
            self.variance.lerp_(variance.detach(), self.momentum)
        log_scale = -0.5 * (variance + EPSILON).log()
        return (x - _by_channel(mean)) * _by_channel(log_scale).exp(), _volume(log_scale, x)

    def inverse(self, y: Tensor, c: Tensor | None) -> Tensor:
        """x, by the running averages."""
        return y * _by_channel(self.variance + EPSILON).sqrt() + _by_channel(self.mean)


EPSILON = 1e-5
"""Added to variances, so that a constant channel can be normalised."""
NORMS: dict[str, type[ActNorm | BatchNorm] | None] = {"actnorm": ActNorm, "batch": BatchNorm, "none": None}


def _by_channel(of_each: Tensor) -> Tensor:
    return of_each[:, None, None]


def _volume(log_scale: Tensor, x: Tensor) -> Tensor:
    """log |det| of a scaling of the channels of x, [batch]."""
    return (log_scale.sum() * (x.shape[2] * x.shape[3])).expand(len(x))


class Chain(nn.ModuleList):
    """Invertible layers, one after the other."""

    @torch.no_grad()
    def initialise(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Fits each normalisation to what `x` is when it gets there; returns what it is after the last layer."""
        for layer in self:
            if isinstance(layer, (ActNorm, BatchNorm)):
                layer.initialise(x)
            x, _ = layer(x, c)
        return x

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and log |det dy/dx| [batch]."""
        total = x.new_zeros(len(x))
        for layer in self:
            x, log_det = layer(x, c)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor, c: Tensor | None) -> Tensor:
        """x."""
        for layer in reversed(self):
            y = layer.inverse(y, c)  # type: ignore[operator]
        return y


def couplings(
    masks: Sequence[Tensor], channels: int, told: int, feature_maps: int, blocks: int, norm: str
) -> list[nn.Module]:
    """Couplings with these masks, each followed by a normalisation, or by none."""
    layers: list[nn.Module] = []
    for mask in masks:
        layers.append(Coupling(mask, channels, told, feature_maps, blocks))
        if (kind := NORMS[norm]) is not None:
            layers.append(kind(channels))
    return layers
