"""Synthetic datasets: splits of any size, sampled from a distribution, the same for every run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

from dgmrun.data.splits import SPLITS, Split, Splits
from dgmrun.errors import Mistake
from dgmrun.rng import seeded

log = logging.getLogger("dgmrun")


def drawn(name: str, sizes: Sequence[int], draw: Callable[[int], Split]) -> Splits:
    """Draws independent splits of the given sizes, by seeds derived from `name` and not from the run's seed."""
    if len(sizes) != len(SPLITS) or not all(type(size) is int and size >= 1 for size in sizes):
        raise Mistake(f"`dataset.sizes` must be [train,valid,test], each at least 1, but is {list(sizes)}")
    splits = {}
    for split, size in zip(SPLITS, sizes, strict=True):
        with seeded(0, name, split):
            splits[split] = draw(size)
    return splits


def drawn_in_time(name: str, sizes: Sequence[int], draw: Callable[[int], Split], entropy: float, rate: float) -> Splits:
    """Draws sequences as `drawn` does, and logs the entropy of a whole one and of each further step, in nats."""
    told = "entropy %.6f nats a sequence, %.6f a step after the first: no model's mean log-likelihood is above minus it"
    log.info(f"data        %s: {told}", name, entropy, rate)
    return drawn(name, sizes, draw)


def random_state() -> int:
    """Returns a seed for functions that sample with NumPy."""
    return int(torch.randint(2**31, ()))
