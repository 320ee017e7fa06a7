"""Doubts about a dataset, in words: what its splits share, and where a density of it has no bound.

A density can grow without bound on data that lie in fewer dimensions than they have, or whose values repeat: each
repeated value is a point to which a model of real numbers can give any density. Noise (`dequantise`, `jitter`) bounds
it: E_u log p(k + u) <= log P(k) (Theis, van den Oord and Bethge 2016, section 3.1).
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.distributions.transforms import ComposeTransform

from dgmrun.data.splits import Split, Splits
from dgmrun.protocols.sparse import as_bytes, entries, is_sparse
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Event

MOST_DIMS, MOST_ROWS, FEWEST_ROWS = 1024, 1000, 20
"""Most dimensions whose rank is computed; most and fewest rows in which values are looked at."""
SINGULAR = 1e-10
"""Relative size of an eigenvalue of the correlations, in double precision, that counts as 0."""
REPEATED, POINT = 0.5, 0.05
"""Share of a dimension's entries whose values repeat, and share of a single value, from which it is doubted."""
LEAST_NINES = 99
"""Smallest number of nines that is doubted."""
COARSE = 1e-3
"""Rounding to float32, in interquartile ranges of a dimension, that changes the data."""


def doubts(splits: Splits, event: Event, back: ComposeTransform, is_density: bool, is_noisy: bool = False) -> list[str]:
    """Returns doubts about splits as loaded.

    Args:
        splits: splits before binarisation and transform.
        event: event of their examples.
        back: maps what the model sees back to original units.
        is_density: whether the model has a density of them, without noise.
        is_noisy: whether noise is added to them.
    """
    found = [*_empty(splits), *_shared(splits, event)]
    if (event.is_continuous or event.kind == "counts") and not is_sparse(splits["train"].x):
        x = splits["train"].x.double()
        found += _nines(x.flatten(1), splits["train"])
        found += _large(x[:MOST_ROWS], back) if event.kind == "counts" and is_noisy else []
        found += _coarse((back.inv(x) if back.parts else x).flatten(1)[:MOST_ROWS], bool(back.parts))
        found += [*_flat(x.flatten(1)), *_repeated(x.flatten(1)[:MOST_ROWS])] if is_density else []
    return found


def alike(train: Split, is_of_x: bool, binarisation: str) -> list[str]:
    """Says if all training data are one value, as what binarisation makes of dark pictures, or labels of one class.

    Args:
        train: the training data as the model sees them.
        is_of_x: whether x are modelled, or else the labels given them.
        binarisation: `dataset.binarisation`.
    """
    parts = {"values": train.x} if is_of_x or train.y is None else {"values": train.x, "labels": train.y}
    cure = "nothing can be learned of them" if binarisation == "none" else "look at dataset.binarisation"
    cures = {"values": cure, "labels": "nothing can be learned of one class"}
    ends = {what: entries(part).aminmax() for what, part in parts.items() if not is_sparse(part)}
    return [
        f"all {what} of train are {least:g}, as the model sees them: {cures[what]}"
        for what, (least, most) in ends.items()
        if least == most
    ]


def _empty(splits: Splits) -> list[str]:
    """Counts the examples that are no part of a split as nothing is left of them."""
    found = {name: split.empty for name, split in splits.items() if split.empty}
    return [f"{counted(number, f'empty {name} example')} left out" for name, number in found.items()]


def _shared(splits: Splits, event: Event) -> list[str]:
    """Counts the examples that two splits share, unless most of one repeat others of it, as those of few states do."""
    rows = {name: list(map(hash, as_bytes(split.x))) for name, split in splits.items()}
    if any(len(set(each)) < len(each) / 2 for each in rows.values()):
        return []
    counts = {
        (later, earlier): sum(map(set(rows[earlier]).__contains__, rows[later]))
        for earlier, later in combinations(splits, 2)
        if not splits[later].population
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
    """Names the dimensions in which most values occur more than once, or one value often."""
    if len(x) < FEWEST_ROWS:
        return []
    same = x.sort(0).values.diff(dim=0) == 0
    edge = same.new_zeros(1, x.shape[1])
    repeats = (torch.cat([same, edge]) | torch.cat([edge, same])).double().mean(0)
    points = (x == x.mode(0).values).double().mean(0)
    count = int(((repeats > REPEATED) | (points > POINT)).sum())
    where = f"{count} of {x.shape[1]} dimensions"
    return [f"values of {where} occur again and again: a density can grow without bound"] if count else []


def _coarse(x: Tensor, is_standardised: bool) -> list[str]:
    """Names the dimensions whose values run together in float32, as a model sees them."""
    if len(x) < FEWEST_ROWS:
        return []
    lower, upper = torch.quantile(x, torch.tensor([0.25, 0.75], dtype=x.dtype), dim=0)
    spread = (upper - lower).where(upper > lower, x.std(0))
    lost = (x - x.float().double()).abs().amax(0) > COARSE * spread
    count = int((lost & (x.amax(0) > x.amin(0))).sum())
    cure = "without the outliers they do not" if is_standardised else "dataset.transform=standardise keeps them apart"
    return [f"values of {count} of {x.shape[1]} dimensions run together in float32: {cure}"] if count else []


def _large(x: Tensor, back: ComposeTransform) -> list[str]:
    """Names the dimensions with counts that look to a model in float32 as one more does, so that noise is lost."""
    same = back.inv(x).float() == back.inv(x + 1).float()
    count = int(same.flatten(1).any(0).sum())
    cure = "dataset.kind=real dataset.transform=standardise takes them as real numbers"
    return [f"counts of {count} of {x[0].numel()} dimensions are too large for float32: {cure}"] if count else []


def _nines(x: Tensor, train: Split) -> list[str]:
    """Names a number of nines, as stands for a missing value, that is far from all others of a dimension."""
    for extremes in (x.amin(0), x.amax(0)):
        for dimension, extreme in enumerate(extremes.tolist()):
            if abs(extreme) < LEAST_NINES or set(f"{abs(extreme):g}") != {"9"}:
                continue
            others = x[:, dimension][x[:, dimension] != extreme]
            if len(others) > 1 and (extreme - others).abs().min() > others.max() - others.min():
                where = f"{extreme:g} in {train.column(dimension)} is far from all other values"
                return [f"{where}: if it stands for a missing one, leave its entry empty and dataset.missing=drop"]
    return []
