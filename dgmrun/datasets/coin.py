"""Tosses of a coin: 1 with probability p, each independent of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake


def load(data_dir: Path, sizes: Sequence[int], p: float) -> Splits:
    """Draws x [N, 1].

    Args:
        data_dir: unused.
        sizes: number of tosses in train, valid and test.
        p: probability of a 1.
    """
    if not 0 <= p <= 1:
        raise Mistake(f"`dataset.p` must be from 0 to 1, but is {p}")
    return drawn("coin", sizes, lambda size: Split((torch.rand(size, 1) < p).to(torch.uint8)))
