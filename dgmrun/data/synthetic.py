"""Synthetic datasets: splits of any size, sampled from a distribution, the same for every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from dgmrun.data.splits import SPLITS, Split, Splits
from dgmrun.errors import Mistake
from dgmrun.rng import seeded


def drawn(name: str, sizes: Sequence[int], draw: Callable[[int], Split]) -> Splits:
    """Draws independent splits of the given sizes, by seeds derived from `name` and not from the run's seed."""
    if len(sizes) != len(SPLITS) or not all(type(size) is int and size >= 1 for size in sizes):
        raise Mistake(f"`dataset.sizes` must be [train,valid,test], each at least 1, but is {list(sizes)}")
    splits = {}
    for split, size in zip(SPLITS, sizes, strict=True):
        with seeded(0, name, split):
            splits[split] = draw(size)
    return splits


def random_state() -> int:
    """Returns a seed for functions that sample with NumPy."""
    return int(torch.randint(2**31, ()))
