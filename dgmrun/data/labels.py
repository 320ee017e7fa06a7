"""What the labels of a file are: classes, attributes or captions.

- `classes`: words or whole numbers [N], or rows [N, K] that are 1 at their class and 0 elsewhere.
- `binary` and `real`: attributes, numbers [N, K].
- `tokens`: captions, words 1, 2, ... [N, L], where 0 is the end of a caption and fills the row after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data import classes
from dgmrun.errors import Mistake
from dgmrun.protocols.text import counted
from dgmrun.protocols.values import Event

KINDS = ("classes", "binary", "real", "tokens")
MOST = 100_000
"""A model has parameters for each word of captions: larger numbers are no words."""
Place = Callable[[int], str]


class Labels(NamedTuple):
    """Labels of examples [N, *event.shape], the words of their classes, if any, and what was understood.

    The event is None if they are no classes that a model could take.
    """

    y: Tensor | None
    event: Event | None
    words: list[str]
    understood: str


def of(label: NDArray[Any], place: Place, kind: str | None, least: int = 2) -> Labels:
    """Returns what labels are.

    Args:
        label: numbers [N] or [N, K], nan where one is missing, or words [N].
        place: name of an example, by its number.
        kind: one of KINDS; None to recognise it.
        least: fewest examples of a class.

    Raises:
        Mistake: they are not of this kind.
    """
    named = kind or _kind(label)
    if named == "classes":
        return _classes(label, place, least)
    if label.dtype.kind != "f":
        raise Mistake(f"`dataset.label_kind` must be classes or null for labels of words, but is {kind}")
    return {"binary": _bits, "real": _numbers, "tokens": _captions}[named](label.reshape(len(label), -1), place)


def none(label: NDArray[Any]) -> Labels:
    """Returns labels that are no classes: whole numbers, to tell examples apart in pictures, or nothing."""
    is_whole = label.dtype.kind == "f" and bool((label == label.round()).all())
    return Labels(torch.from_numpy(label.astype(np.int64)) if is_whole else None, None, [], "labels are no classes")


def _kind(label: NDArray[Any]) -> str:
    if label.ndim == 1 or _is_one_hot(label):
        return "classes"
    if np.isin(label, (0, 1)).all():
        return "binary"
    return "tokens" if _may_be_captions(label) and (label == 0).any() else "real"


def _is_one_hot(label: NDArray[Any]) -> bool:
    return label.shape[1] > 1 and bool(np.isin(label, (0, 1)).all() and (label.sum(1) == 1).all())


def _are_words(label: NDArray[Any]) -> NDArray[Any]:
    return (label >= 0) & (label == label.round()) & (label < MOST)


def follows_end(label: NDArray[Any]) -> NDArray[Any]:
    """Returns where a word comes after the end of its caption."""
    return (label != 0) & (np.cumsum(label == 0, 1) > 0)


def _may_be_captions(label: NDArray[Any]) -> bool:
    return bool(_are_words(label).all() and not follows_end(label).any())


def _classes(label: NDArray[Any], place: Place, least: int) -> Labels:
    said = ""
    if label.ndim > 1:
        if not _is_one_hot(label):
            others = ", ".join(KINDS[1:])
            raise Mistake(
                f"`dataset.label_kind` must be {others} or null for labels [N, {label.shape[1]}] of which not just one "
                "is 1, but is classes"
            )
        said = f"labels by the place of the 1 among {label.shape[1]}, "
        label = label.argmax(1).astype(np.float64)
    y, words = found = classes.of(label, place, least)
    return Labels(torch.from_numpy(y), Event((), "categorical", len(words)), words, said + found.understood)


def _bits(label: NDArray[Any], place: Place) -> Labels:
    _refuse(label, ~np.isin(label, (0, 1)), "0 or 1", "dataset.label_kind=real takes any numbers", place)
    size = label.shape[1]
    said = counted(size, "binary attribute")
    return Labels(torch.from_numpy(label.astype(np.uint8)), Event((size,), "binary"), [], said)


def _numbers(label: NDArray[Any], place: Place) -> Labels:
    most = np.finfo(np.float32).max
    _refuse(label, ~(np.abs(label) <= most), "numbers that 32 bits hold", classes.OTHERWISE, place)
    size = label.shape[1]
    said = f"{counted(size, 'real attribute')} from {label.min():g} to {label.max():g}"
    if size > 1 and _may_be_captions(label):
        said += " (dataset.label_kind=tokens takes them as captions)"
    return Labels(torch.from_numpy(label.astype(np.float32)), Event((size,), "real"), [], said)


def _captions(label: NDArray[Any], place: Place) -> Labels:
    cure = "dataset.label_kind=real takes them as numbers"
    _refuse(label, ~_are_words(label), f"whole numbers from 0 to {MOST - 1} as words", cure, place)
    _refuse(label, follows_end(label), "only 0 after a 0, the end of a caption,", cure, place)
    length, size = label.shape[1], int(label.max()) + 1
    said = f"captions of up to {counted(length, 'word')}, numbered to {size - 1} ({cure})"
    return Labels(torch.from_numpy(label.astype(np.int64)), Event((length,), "tokens", size), [], said)


def _refuse(label: NDArray[Any], wrong: NDArray[Any], must: str, cure: str, place: Place) -> None:
    if wrong.any():
        row, column = map(int, np.argwhere(wrong)[0])
        is_missing = bool(np.isnan(label[row, column]))
        hint = f"dataset.missing=drop leaves the row out, {classes.OTHERWISE}" if is_missing else cure
        but = "none" if is_missing else f"{label[row, column]:g}"
        raise Mistake(f"`dataset.label` must have {must} at {place(row)}, but has {but}", hint)
