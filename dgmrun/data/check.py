"""Checks that a dataset matches its description in YAML, before it is used."""

from __future__ import annotations

from math import inf

from torch import Tensor

from dgmrun.data.labels import follows_end
from dgmrun.data.splits import Splits, sha256
from dgmrun.errors import Mistake
from dgmrun.protocols.sparse import as_bytes, entries
from dgmrun.protocols.values import Event


def check(splits: Splits, event: Event, labels: Event | None = None) -> None:
    """Checks examples against `event` and labels against `labels`, and that no split is a copy of another.

    Args:
        splits: splits as loaded, before binarisation.
        event: event of the examples, `dataset.event`.
        labels: event of the labels, `dataset.labels`.

    Raises:
        Mistake: a check fails.
    """
    for name, split in splits.items():
        if not len(split.x):
            raise Mistake(f"`dataset` must have examples in every split, but {name} has none")
    for name, split in splits.items():
        _check_tensor(name, "dataset.event", split.x, event)
        if labels is not None:
            _check_tensor(name, "dataset.labels", split.y, labels)
    distinct = {sha256(split.x): split for split in splits.values()}
    may_repeat = any(split.population or _is_one(split.x) for split in distinct.values())
    if len(distinct) < len(splits) and not may_repeat:
        raise Mistake("`dataset` must have train, valid and test splits that differ, but two are the same")


def _is_one(x: Tensor) -> bool:
    """Returns whether all examples are the same."""
    rows = as_bytes(x)
    first = next(rows)
    return all(row == first for row in rows)


def inside(x: Tensor, event: Event) -> bool:
    """Returns whether every entry of `x` is a value that `event` allows, and no word follows the end of its string."""
    x = entries(x)
    if event.kind == "tokens" and follows_end(x.reshape(len(x), -1).cpu().numpy()).any():
        return False
    low, high = _range(event)
    whole = event.is_continuous or not x.is_floating_point() or (x == x.round()).all()
    return bool(whole and x.isfinite().all() and x.min() >= low and x.max() <= high)


def _check_tensor(split: str, key: str, x: Tensor | None, event: Event) -> None:
    if x is None:
        raise Mistake(f"`{key}` must be null without labels, but is {event.kind}", hint=f"{key}=null")
    shape = tuple(x.shape[1:])
    if shape != event.shape:
        raise Mistake(
            f"`{key}.shape` must be {list(shape)} as in the {split} split, but is {list(event.shape)}",
            hint=f"{key}.shape={list(shape)}".replace(" ", ""),
        )
    if not inside(x, event):
        raise _outside(split, key, x, event)


def _range(event: Event) -> tuple[float, float]:
    if event.size is not None:
        return 0, event.size - 1
    return {"counts": (0, inf), "real": (-inf, inf)}.get(event.kind, (0, 1))


def _outside(split: str, key: str, x: Tensor, event: Event) -> Mistake:
    if event.kind == "binary" and inside(x, Event(event.shape, "unit")):
        return Mistake(
            "a Bernoulli likelihood needs binary data: `dataset.binarisation` must be threshold or dynamic, "
            f"as the {split} split holds other values than 0 and 1",
            hint=f"{key}.kind=unit dataset.binarisation=dynamic",
        )
    x, (low, high) = entries(x), _range(event)
    outside = next((each for each in (x.min(), x.max()) if not low <= each <= high), None)
    size = "" if event.size is None else f" from 0 to {high}"
    which = "" if outside is None else f", such as {outside:g}"
    return Mistake(f"`{key}` must hold every value of the {split} split{which}, but is {event.kind}{size}")
