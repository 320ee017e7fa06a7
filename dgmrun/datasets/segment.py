"""Uniform distribution on a straight line segment in the plane.

Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, https://arxiv.org/abs/1701.07875, example 1: the Jensen-Shannon
divergence of two parallel segments is log 2 unless they coincide; their Wasserstein distance is the distance between
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake

LARGEST = 1e6
"""Largest absolute offset, where float32 numbers are 1/16 apart."""


def load(data_dir: Path, sizes: Sequence[int], offset: float) -> Splits:
    """Draws x = (offset, u) [N, 2], with u uniform on [-1, 1].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        offset: first coordinate of every example.
    """
    if not abs(offset) <= LARGEST:
        raise Mistake(f"`dataset.offset` must be between -{LARGEST:g} and {LARGEST:g}, but is {offset}")

    def draw(size: int) -> Split:
        return Split(torch.stack((torch.full((size,), offset), 2 * torch.rand(size) - 1), dim=1))

    return drawn("segment", sizes, draw)
