r"""Laplacian pyramids of pictures: means of blocks of 2 x 2 pixels, and three details of each block.

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
from collections.abc import Sequence

import torch
from torch import Tensor

DETAILS = 3
"""Number of details of a block."""
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
