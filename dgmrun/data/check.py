"""What is checked of every dataset before anything is made of it: that it is what its YAML says it is."""

from __future__ import annotations

import re
from math import inf

from torch import Tensor

from dgmrun.data.splits import Splits, sha256
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

RANGES = {"binary": (0, 1), "unit": (0, 1), "counts": (0, inf), "real": (-inf, inf)}
CONTINUOUS = ("unit", "real")


def check(splits: Splits, event: Event, context: Event | None = None) -> None:
    """Refuses splits that are not of `event`, labels that are not of `context`, and a split used twice.

    Args:
        splits: as a loader gives them, before any binarisation.
        event: what the file holds, `dataset.event`.
        context: what the labels are, `dataset.context`.
    """
    for name, split in splits.items():
        _check_tensor(name, "dataset.event", split.x, event)
        if context is not None:
            _check_tensor(name, "dataset.context", split.y, context)
    distinct = {sha256(split.x) for split in splits.values()}
    if len(distinct) < len(splits) and not all(split.population for split in splits.values()):
        raise Mistake("`dataset` must have train, valid and test splits that differ, but two are the same")


def inside(x: Tensor, support: str) -> bool:
    """Whether every entry of `x` lies in `support`."""
    low, high = _range(support)
    whole = support in CONTINUOUS or not x.is_floating_point() or (x == x.round()).all()
    return bool(whole and x.isfinite().all() and x.min() >= low and x.max() <= high)


def _check_tensor(split: str, key: str, x: Tensor | None, event: Event) -> None:
    if x is None:
        raise Mistake(f"`{key}` must be null without labels, but is {event.support}", hint=f"{key}=null")
    shape = tuple(x.shape[1:])
    if shape != event.shape:
        raise Mistake(
            f"`{key}.shape` must be {list(shape)} as in the {split} split, but is {list(event.shape)}",
            hint=f"{key}.shape={list(shape)}".replace(" ", ""),
        )
    if not inside(x, event.support):
        raise _outside(split, key, event.support)


def _range(support: str) -> tuple[float, float]:
    if levels := re.fullmatch(r"(?:categorical|tokens)\((\d+)\)", support):
        return 0, int(levels[1]) - 1
    if support not in RANGES:
        known = ", ".join((*RANGES, "categorical(K)", "tokens(K)"))
        raise Mistake(f"`dataset.event.support` must be one of {known}, but is {support}")
    return RANGES[support]


def _outside(split: str, key: str, support: str) -> Mistake:
    if support == "binary":
        return Mistake(
            "a Bernoulli likelihood needs binary data: `dataset.binarisation` must be threshold or dynamic, "
            f"as the {split} split holds other values than 0 and 1",
            hint=f"{key}.support=unit dataset.binarisation=dynamic",
        )
    return Mistake(f"`{key}.support` must hold every value of the {split} split, but is {support}")
