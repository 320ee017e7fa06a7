"""Missing values: refused, or their examples dropped, or replaced by the mean of their column in the training split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data.columns import Contents
from dgmrun.errors import Mistake

RULES = ("drop", "mean")


def without(contents: Contents, rule: str | None) -> Contents:
    """Returns the contents without the examples that lack a value, if they are to be dropped.

    Args:
        contents: what a file has.
        rule: `drop`, `mean`, or None to refuse missing values.

    Raises:
        Mistake: values are missing and not to be, or are infinite.
    """
    x = contents.x.reshape(len(contents.x), -1)
    if x.dtype.kind != "f" and rule != "drop":
        return contents
    _refuse(contents, np.isinf(x), "a finite number", "leave the entry empty, and dataset.missing=drop or mean")
    holes = np.isnan(x)
    if rule is None:
        rows = int(holes.any(1).sum())
        cures = (
            f"dataset.missing=drop leaves such rows out, {rows} of {len(x)}; dataset.missing=mean takes column means"
        )
        _refuse(contents, holes, "a value", cures)
    if rule != "drop":
        return contents
    lacks = holes.any(1) | _lacks_label(contents)
    kept = np.flatnonzero(~lacks)
    said = [f"{int(lacks.sum())} of {len(x)} rows dropped for missing values"] if lacks.any() else []
    return replace(
        contents,
        x=contents.x[kept],
        label=None if contents.label is None else contents.label[kept],
        split=None if contents.split is None else contents.split[kept],
        place=lambda row: contents.place(int(kept[row])),
        understood=[*contents.understood, *said],
    )


def filled(contents: Contents, train: Tensor | Sequence[int]) -> Contents:
    """Returns the contents with each missing value replaced by its column's mean over the training split.

    Raises:
        Mistake: a column has no value there.
    """
    x = contents.x.reshape(len(contents.x), -1)
    if x.dtype.kind != "f" or not (holes := np.isnan(x)).any():
        return contents
    known = ~holes[np.asarray(train)]
    empty = ~known.any(0) & holes.any(0)
    if empty.any():
        where = contents.column(int(empty.argmax()))
        must = f"`dataset.missing` must not be mean where {where} has no value in the training split"
        column = "..." if contents.key is None else contents.key(int(empty.argmax()))
        raise Mistake(f"{must}, but is", f"dataset.missing=drop, or dataset.drop=[{column}] leaves it out")
    means = np.where(known, x[np.asarray(train)], 0).sum(0) / known.sum(0).clip(1)
    said = f"missing values as means of the training split: {int(holes.sum())}"
    full = np.where(holes, means, x).reshape(contents.x.shape)
    return replace(contents, x=full, understood=[*contents.understood, said])


def _lacks_label(contents: Contents) -> NDArray[Any]:
    label = contents.label
    if label is None:
        return np.zeros(len(contents.x), dtype=bool)
    return np.isnan(label).reshape(len(label), -1).any(1) if label.dtype.kind == "f" else label == ""


def _refuse(contents: Contents, wrong: NDArray[Any], must: str, hint: str) -> None:
    if wrong.any():
        row, dimension = map(int, np.argwhere(wrong)[0])
        value = contents.x.reshape(len(wrong), -1)[row, dimension]
        where = f"{contents.place(row)} in {contents.column(dimension)}"
        raise Mistake(
            f"`dataset.path` must have {must} at {where}, but has {'none' if np.isnan(value) else value}", hint
        )
