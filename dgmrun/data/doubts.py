"""Doubts about a dataset, in words: what its splits share, and where a density of it has no bound.

A density can grow without bound on data that lie in fewer dimensions than they have, or whose values repeat: each
repeated value is a point to which a model of real numbers can give any density. Noise (`dequantise`, `jitter`) bounds
it: E_u log p(k + u) <= log P(k) (Theis, van den Oord and Bethge 2016, section 3.1).
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from dgmrun.data.splits import Splits

MOST_DIMS, MOST_ROWS, FEWEST_ROWS = 1024, 1000, 20
"""Largest number of dimensions whose rank is computed; rows in which repeated values are counted, at most and at least.
"""
SINGULAR = 1e-10
"""Relative size of an eigenvalue of the correlations, in double precision, that counts as 0."""
COARSE = 1e-3
"""Rounding to float32, in standard deviations of a dimension, that changes the data."""


def doubts(splits: Splits, is_density: bool, is_rounded: bool) -> list[str]:
    """Returns doubts about splits as loaded.

    Args:
        splits: splits before binarisation and transform.
        is_density: whether the model has a density of them, without noise.
        is_rounded: whether they are rounded to float32 without being standardised.
    """
    found = _shared(splits)
    x = splits["train"].x.flatten(1).double()
    if is_density:
        found += [*_flat(x), *_repeated(x[:MOST_ROWS])]
    if is_rounded and is_density:
        found += _coarse(x)
    return found


def _shared(splits: Splits) -> list[str]:
    if any(split.population for split in splits.values()):
        return []
    rows = {name: [row.tobytes() for row in split.x.flatten(1).numpy()] for name, split in splits.items()}
    counts = {
        (later, earlier): sum(map(set(rows[earlier]).__contains__, rows[later]))
        for earlier, later in combinations(splits, 2)
    }
    return [
        f"{count} of {len(rows[later])} {later} examples are in {earlier}, too"
        for (later, earlier), count in counts.items()
        if count
    ]


def _flat(x: Tensor) -> list[str]:
    dims = x.shape[1]
    if len(x) <= dims:
        return [f"train has {len(x)} examples of {dims} dimensions: a density can grow without bound"]
    if dims > MOST_DIMS:
        return []
    varied = x[:, x.amax(0) > x.amin(0)]
    spread = (varied - varied.mean(0)) / varied.std(0)
    values = torch.linalg.eigvalsh(spread.T @ spread / len(x)) if len(varied.T) else varied.new_zeros(0)
    rank = int((values > SINGULAR * dims).sum())
    return [f"train lies in {rank} of {dims} dimensions: a density can grow without bound"] if rank < dims else []


def _repeated(x: Tensor) -> list[str]:
    """Names the dimensions in which most values occur more than once."""
    if len(x) < FEWEST_ROWS:
        return []
    same = x.sort(0).values.diff(dim=0) == 0
    edge = same.new_zeros(1, x.shape[1])
    repeats = (torch.cat([same, edge]) | torch.cat([edge, same])).double().mean(0)
    count = int((repeats > 0.5).sum())
    where = f"{count} of {x.shape[1]} dimensions"
    return [f"most values of {where} occur more than once: a density can grow without bound"] if count else []


def _coarse(x: Tensor) -> list[str]:
    lost = (x - x.float().double()).abs().amax(0) > COARSE * x.std(0)
    count, cure = int(lost.sum()), "dataset.transform=standardise keeps them apart"
    return [f"numbers of {count} of {x.shape[1]} dimensions are too far from 0 for float32: {cure}"] if count else []
