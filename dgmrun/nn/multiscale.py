r"""Multi-scale architecture of RealNVP: half of the dimensions leave after each scale, the rest are halved in size.

A scale has three couplings with checkerboard masks, squeezes, and has three with channel-wise masks; the last has four
with checkerboard masks. Before all of them, each channel is given mean 0 and standard deviation 1.

References:
    Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, https://arxiv.org/abs/1605.08803,
    section 3.6 and figures 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from dgmrun.nn.coupling import ActNorm, Chain, Squeeze, channelwise, checkerboard, couplings


def most_scales(shape: Sequence[int]) -> int:
    """Number of scales that fit: both sides of all but the last are even, and none has a side of one pixel.

    A picture with a side of one pixel has one scale.
    """
    channels, height, width = shape
    if height % 2 or width % 2 or min(height, width) < 4:
        return 1
    return 1 + most_scales((channels, height // 2, width // 2))


class MultiScale(nn.Module):
    """Invertible map from pictures [batch, *shape] to noise [batch, D], that of the first scale first.

    Args:
        shape: (channels, height, width) of a picture.
        scales: number of scales, at most `most_scales(shape)`.
        told: number of channels of the context.
        feature_maps: hidden channels of the networks of the first scale; they double with each squeeze.
        blocks: number of residual blocks of each network.
        norm: key of `NORMS`.
    """

    def __init__(self, shape: Sequence[int], scales: int, told: int, feature_maps: int, blocks: int, norm: str) -> None:
        super().__init__()
        self.scales, self.shapes = nn.ModuleList(), [tuple(shape)]
        for _ in range(scales - 1):
            channels, height, width = shape
            masks = [checkerboard(shape, place) for place in range(3)]
            layers = [*couplings(masks, channels, told, feature_maps, blocks, norm), Squeeze()]
            feature_maps *= 2
            masks = [channelwise(4 * channels, place) for place in range(3)]
            layers += couplings(masks, 4 * channels, told, feature_maps, blocks, norm)
            self.scales.append(Chain(layers))
            shape = (2 * channels, height // 2, width // 2)
            self.shapes.append(shape)
        masks = [checkerboard(shape, place) for place in range(4)]
        self.scales.append(Chain(couplings(masks, shape[0], told, feature_maps, blocks, norm)))
        self.scales[0].insert(0, ActNorm(self.shapes[0][0]))  # type: ignore[operator]

    @torch.no_grad()
    def initialise(self, x: Tensor, c: Tensor | None) -> None:
        """Fits the normalisations to pictures, layer by layer."""
        for scale in self.scales:
            x = scale.initialise(x, c).chunk(2, 1)[0]  # type: ignore[operator]

    def forward(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """z [batch, D], and log |det dz/dx| [batch]; c is [batch, told], if anything is told."""
        left, total = [], x.new_zeros(len(x))
        for scale in self.scales[:-1]:
            x, log_det = scale(x, c)
            x, leaves = x.chunk(2, 1)
            left.append(leaves.flatten(1))
            total = total + log_det
        x, log_det = self.scales[-1](x, c)
        return torch.cat((*left, x.flatten(1)), 1), total + log_det

    def inverse(self, z: Tensor, c: Tensor | None) -> Tensor:
        """x [batch, *shape]."""
        sizes = [prod(shape) for shape in self.shapes[1:]]  # what leaves has the shape of what stays
        *left, last = z.split([*sizes, prod(self.shapes[-1])], 1)
        x: Tensor = self.scales[-1].inverse(last.unflatten(1, self.shapes[-1]), c)  # type: ignore[operator]
        for scale, leaves in zip(reversed(self.scales[:-1]), reversed(left), strict=True):
            x = scale.inverse(torch.cat((x, leaves.reshape(x.shape)), 1), c)  # type: ignore[operator]
        return x
