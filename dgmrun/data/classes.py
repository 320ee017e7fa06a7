"""Classes 0, 1, ... of labels: their words in alphabetical order, or their whole numbers in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dgmrun.errors import Mistake

MOST = 10_000
"""A model has parameters for each class: larger numbers are identifiers, not classes."""
SHOWN = 12
"""Most words of classes that are said."""
SIGNS = (-1, 1)
OTHERWISE = "dataset.label=null for none"


class Classes(NamedTuple):
    """The class of each example, int64 [N], and the word of each class."""

    y: NDArray[Any]
    words: list[str]

    @property
    def understood(self) -> str:
        """What to say of them."""
        shown = self.words if len(self.words) <= SHOWN else [*self.words[: SHOWN - 1], "...", self.words[-1]]
        return f"{len(self.words)} classes: {' '.join(shown)}"


def of(label: NDArray[Any], place: Callable[[int], str], least: int = 2) -> Classes:
    """Returns the classes of labels.

    Args:
        label: numbers, or words [N], none of them missing.
        place: name of an example, by its number.
        least: fewest examples of a class.

    Raises:
        Mistake: they are no classes.
    """
    if label.dtype.kind in "biuf":
        label = label.astype(np.float64)
        negative = label < 0 if set(np.unique(label)) != set(SIGNS) else label < -1
        for wrong, why in (
            (np.isnan(label), "none"),
            ((label != label.round()) | negative | (label >= MOST), ""),
        ):
            if wrong.any():
                row = int(wrong.argmax())
                raise _refusal(f"a class at {place(row)}, a word or a whole number from 0", why or f"{label[row]:g}")
    elif (label == "").any():
        raise _refusal(f"a class at {place(int((label == '').argmax()))}", "none")
    values, y, counts = np.unique(label, return_inverse=True, return_counts=True)
    words = [f"{value:g}" if label.dtype.kind == "f" else str(value) for value in values]
    if counts.min() < least:
        raise _refusal("at least 2 examples of each class", f"one of {words[int(counts.argmin())]}")
    return Classes(y.astype(np.int64).reshape(-1), words)


def _refusal(must: str, but: str) -> Mistake:
    hint = f"dataset.missing=drop leaves the row out, {OTHERWISE}" if but == "none" else OTHERWISE
    return Mistake(f"`dataset.label` must have {must}, but has {but}", hint)
