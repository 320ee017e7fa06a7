"""Headings of tables: a first line that names the columns, in words or in numbers.

A first line is a heading if most of it are words. Numbers are one if they name columns plainly:

- whole ones, written 0 and not 0.0, that count above fractions, or rise or fall evenly above at least four columns;
- those of at least three columns that rise or fall evenly, or are whole above fractions, far outside of all other
  values of every column, as years and wavelengths are;
- 0, 1, 2, 3, ..., as pandas writes.

Where it is less plain, they are an example, and a doubt says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Columns, or rows, from which numbers can be told from their names."""


def is_one(first: list[str], x: NDArray[Any]) -> bool:
    """Returns whether the first line is a heading.

    Args:
        first: its entries.
        x: the numbers of all lines [rows, columns], nan where there is none.
    """
    filled = np.array([entry != "" for entry in first])
    words = np.isnan(x[0]) & [any(map(str.isalpha, entry)) for entry in first]
    if words.any() or len(x) == 1:
        return bool(2 * words.sum() > filled.sum())
    start = 0 if filled[0] else 1
    names, rows = x[0, start:], _finite(x[1:, start:])
    if not np.isfinite(names).all() or len(names) < 2:
        return False
    steps = np.diff(names)
    is_even = bool(np.ptp(steps) <= 1e-6 * abs(steps).max() and steps[0])
    is_whole = _is_whole(names) and "." not in "".join(first)
    counts = bool((steps == 1).all())
    if is_whole and not _is_whole(rows) and (counts or (is_even and len(names) > FEWEST)):
        return True
    if names[0] == 0 and counts and len(names) > FEWEST:
        return True
    is_monotone = bool((steps > 0).all() or (steps < 0).all())
    is_plain = is_even or (is_whole and not _is_whole(rows))
    return len(names) >= FEWEST and is_monotone and is_plain and _is_apart(names, rows)


def doubts(x: NDArray[Any]) -> list[str]:
    """Returns doubts about a first line that is taken as an example, although its numbers are unlike all others."""
    names, rows = x[0], _finite(x[1:])
    if len(rows) < FEWEST or not np.isfinite(names).all():
        return []
    has_fractions = len(names) >= FEWEST and not any(map(_is_whole, rows.T))
    if _is_apart(names, rows) or (_is_whole(names) and has_fractions):
        return ["the first line is unlike all others: dataset.header=true takes it as a heading"]
    return []


def _finite(numbers: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _is_whole(numbers: NDArray[Any]) -> bool:
    found = numbers[~np.isnan(numbers)]
    return bool((found == found.round()).all())


def _is_apart(names: NDArray[Any], rows: NDArray[Any]) -> bool:
    """Returns whether each name is further from all values of its column than these are from each other."""
    if len(rows) < FEWEST or np.isnan(rows).all(0).any():
        return False
    low, high = np.nanmin(rows, 0), np.nanmax(rows, 0)
    return bool((np.maximum(low - names, names - high) > high - low).all())
