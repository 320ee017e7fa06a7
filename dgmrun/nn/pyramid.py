r"""Laplacian pyramids of pictures: means of blocks of 2 x 2 pixels, and three details of each block; their generator.

.. math:: m = \tfrac14 (a + b + c + d), \qquad
          h = \tfrac12 (a + b - c - d,\; a - b + c - d,\; a - b - c + d)

The details are the residual :math:`x - \mathrm{up}(m)`, whose four numbers of a block sum to 0, in an orthonormal basis
of its three free dimensions. As (2m, h) is a rotation of (a, b, c, d), :math:`|\det \partial (m, h) / \partial x| =
1/2` for each block.

References:
    Burt and Adelson (1983), The Laplacian pyramid as a compact image code, IEEE Transactions on Communications 31.
    Haar (1910), Zur Theorie der orthogonalen Funktionensysteme, Mathematische Annalen 69.
    Denton, Chintala, Szlam and Fergus (2015), Deep generative image models using a Laplacian pyramid of adversarial
    networks, https://arxiv.org/abs/1506.05751, section 2.2 and appendix A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from dgmrun.nn.context import beside
from dgmrun.nn.mlp import ACTIVATIONS
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Event

BLOCK, DETAILS = 4, 3
"""Numbers of pixels and of details of a block."""
KERNEL = 3
TINY = 1e-6
"""Lower limit of what means are divided by."""


def halvings(shape: Sequence[int]) -> int:
    """Number of times that both sides of a picture of this shape, (channels, height, width), can be halved."""
    height, width = shape[1:]
    return (math.gcd(height, width) & -math.gcd(height, width)).bit_length() - 1


def halved(x: Tensor) -> tuple[Tensor, Tensor]:
    """Splits pictures [batch, C, 2h, 2w] into means [batch, C, h, w] and details [batch, 3C, h, w] of blocks."""
    a, b, c, d = (x[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    h = torch.stack((a + b - c - d, a - b + c - d, a - b - c + d), 2) / 2
    return (a + b + c + d) / 4, h.flatten(1, 2)


def doubled(m: Tensor, h: Tensor) -> Tensor:
    """Joins means [batch, C, h, w] and details [batch, 3C, h, w] to pictures [batch, C, 2h, 2w]."""
    p, q, r = (h.unflatten(1, (-1, DETAILS)) / 2).unbind(2)
    rows = [
        torch.stack(pair, -1).flatten(-2) for pair in ((m + p + q + r, m + p - q - r), (m - p + q - r, m - p - q + r))
    ]
    return torch.stack(rows, -2).flatten(-3, -2)


def with_means(x: Tensor, m: Tensor) -> Tensor:
    r"""Moves pictures in [0, 1], [batch, C, 2h, 2w], to given means of blocks in [0, 1], [batch, C, h, w].

    .. math:: x' = x\, m / \bar x \text{ if } m < \bar x, \text{ else } 1 - (1 - x) (1 - m) / (1 - \bar x)

    where :math:`\bar x` is the mean of the block. They stay in [0, 1], and what has the given means is not moved.
    """
    m, mean = (each.repeat_interleave(2, 2).repeat_interleave(2, 3) for each in (m, halved(x)[0]))
    darker = x * (m / mean.clamp_min(TINY))
    brighter = 1 - (1 - x) * ((1 - m) / (1 - mean).clamp_min(TINY))
    return torch.where(m < mean, darker, brighter)


class Level(nn.Module):
    """Generator of the details of a picture given the coarser one, by convolutions at its resolution.

    Those of data in [0, 1] are of a picture in [0, 1] that is moved to the given means.

    Args:
        coarser: event of the coarser picture.
        draw: draws noise of the shape of a tensor.
        maps: number of channels of each hidden convolution.
        convolutions: number of hidden convolutions.
        activation: key of ACTIVATIONS.

    Raises:
        ValueError: a size is too small; the message names its key.
    """

    def __init__(
        self, coarser: Event, draw: Callable[[Tensor], Tensor], maps: int, convolutions: int, activation: str
    ) -> None:
        super().__init__()
        for key, size, least in (("maps", maps, 1), ("convolutions", convolutions, 0)):
            check_size(key, size, least)
        channels, *self.sides = coarser.shape
        self.context, self.event = coarser, Event((DETAILS * channels, *self.sides), "real")
        self.draw, self.latent = draw, BLOCK * coarser.dims
        self.is_unit = coarser.kind == "unit"
        before, layers = (1 + BLOCK) * channels, []
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, maps, KERNEL, padding=KERNEL // 2), ACTIVATIONS[activation]()]
            before = maps
        outputs = (BLOCK if self.is_unit else DETAILS) * channels
        self.net = nn.Sequential(*layers, nn.Conv2d(before, outputs, KERNEL, padding=KERNEL // 2))

    @torch.no_grad()
    def noise(self, num: int) -> Tensor:
        """Samples of z, [num, units], one for each value of the finer picture."""
        return self.draw(next(self.parameters()).new_empty(num, self.latent))

    def generate(self, noise: Tensor, context: Tensor) -> Tensor:
        """Generates details [num, 3C, h, w] from z, given coarser pictures [num, C, h, w], differentiably."""
        outputs: Tensor = self.net(beside(context, noise.unflatten(1, (-1, *self.sides))))
        if not self.is_unit:
            return outputs
        return halved(with_means(pixel_shuffle(outputs.sigmoid(), 2), context))[1]

    @torch.no_grad()
    def sample(self, num: int, context: Tensor) -> Tensor:
        """Independent samples of details, one for each of the coarser pictures."""
        return self.generate(self.noise(num), context)
