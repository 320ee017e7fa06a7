"""Two hoops in the plane, one around the other, and y, which of them an example is on."""

from __future__ import annotations

from collections.abc import Sequence
from math import tau
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn


def load(data_dir: Path, sizes: Sequence[int], radii: Sequence[float], noise: float) -> Splits:
    """Draws x [N, 2].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        radii: radius of each hoop.
        noise: standard deviation of the noise of each coordinate.
    """

    def draw(size: int) -> Split:
        y, angle = torch.randint(len(radii), (size,)), tau * torch.rand(size)
        x = torch.tensor(list(radii))[y, None] * torch.stack([angle.cos(), angle.sin()], 1)
        return Split(x + noise * torch.randn(size, 2), y)

    return drawn("hoops", sizes, draw)
