r"""Uniform distribution on eight of the sixteen unit squares of [-2, 2]^2, as the black ones of a checkerboard.

.. math:: p(x) = 1/8 \text{ where } \lfloor x_1 \rfloor + \lfloor x_2 \rfloor \text{ is even, } 0 \text{ elsewhere}

No model has an expected mean log-likelihood above -ln 8. At half the scale of Grathwohl, Chen, Bettencourt, Sutskever
and Duvenaud 2019, FFJORD (https://github.com/rtqichen/ffjord, lib/toy_data.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn


def load(data_dir: Path, sizes: Sequence[int]) -> Splits:
    """Draws x [N, 2].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
    """

    def draw(size: int) -> Split:
        first = 4 * torch.rand(size) - 2
        second = torch.rand(size) + 2 * torch.randint(2, (size,)) - 2 + first.floor() % 2
        return Split(torch.stack((first, second), 1))

    return drawn("checkerboard", sizes, draw)


def log_density(x: Tensor) -> Tensor:
    """Returns log p(x) in nats, [batch]."""
    is_inside = (x.abs() < 2).all(1) & (x.floor().sum(1) % 2 == 0)
    return torch.where(is_inside, -math.log(8), -math.inf)
