"""Points of a straight segment in the plane.

Arjovsky, Chintala and Bottou 2017, Wasserstein GAN, https://arxiv.org/abs/1701.07875, example 1: of two parallel
segments the Jensen-Shannon divergence is log 2 at any distance but 0, and the Wasserstein distance is the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake

LARGEST = 1e6
"""Offset at which float32 still tells the points of a segment apart from their neighbours."""


def load(data_dir: Path, sizes: Sequence[int], offset: float) -> Splits:
    """x = (offset, u) [N, 2], u uniform on [-1, 1].

    Args:
        data_dir: unused.
        sizes: examples of train, valid and test.
        offset: the first coordinate of all.
    """
    if not abs(offset) <= LARGEST:
        raise Mistake(f"`dataset.offset` must be between -{LARGEST:g} and {LARGEST:g}, but is {offset}")

    def draw(size: int) -> Split:
        return Split(torch.stack((torch.full((size,), offset), 2 * torch.rand(size) - 1), dim=1))

    return drawn("segment", sizes, draw)
