"""Tables of numbers as text: .csv, .tsv and .txt, as spreadsheets, R, pandas and numpy write them.

Separators are recognised from the first line: semicolons, tabs, commas, or else spaces. Where commas separate nothing,
a comma in a number is a decimal comma. The first line is a heading if it has a word, or numbers that only count the
columns: any consecutive ones above rows with fractions, else 0, 1, 2, 3, ..., as pandas writes. A first column whose
heading is empty and that numbers the rows is an index, and is left out.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "spaces"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}


class Table(NamedTuple):
    """Numbers x [rows, columns], and what was understood of the file."""

    x: NDArray[Any]
    understood: list[str]


def read(path: Path, header: bool | None = None) -> Table:
    """Reads a table.

    Args:
        path: path of the file.
        header: whether the first line is a heading; None to recognise it.

    Raises:
        ValueError: an entry is no number, or rows differ in length; the message names line and column.
    """
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not lines:
        raise ValueError("it has no rows")
    separator = next((mark for mark in SEPARATORS if mark in lines[0].strip()), ",")
    lines = lines if separator in (",", " ") else [line.replace(",", ".") for line in lines]
    rows = [[entry.strip() for entry in row] for row in csv.reader(_tidy(lines, separator), delimiter=separator)]
    heading = rows[0] if (_is_heading(rows) if header is None else header) else None
    rows = rows[1:] if heading else rows
    x = _numbers(rows, heading, first=2 if heading else 1)
    indexed = heading is not None and heading[0].lower() in ("", "unnamed: 0") and _counts(x[:, 0]) and x.shape[1] > 1
    understood = [f"separated by {SEPARATORS[separator]}" if x.shape[1] > 1 else "one column"]
    understood += ["heading left out" if heading else "no heading"]
    return Table(x[:, 1:], [*understood, "index left out"]) if indexed else Table(x, understood)


def _tidy(lines: list[str], separator: str) -> list[str]:
    """Makes runs of spaces one separator, and removes the mark of a comment before a heading, as numpy writes it."""
    first = lines[0].lstrip()
    lines = [first[1:].lstrip(), *lines[1:]] if first.startswith("#") else lines
    return [" ".join(line.split()) for line in lines] if separator == " " else lines


def _is_heading(rows: list[list[str]]) -> bool:
    first, others = rows[0], rows[1:]
    words = [entry for entry in first if entry.lower() not in MISSING and not _is_number(entry)]
    if words or not others:
        return bool(words)
    names = first[1:] if first[0] == "" else first
    if len(names) < 2 or not all(map(_is_number, names)) or not _counts(np.array(names, dtype=float)):
        return False
    is_whole = all(float(entry).is_integer() for row in others for entry in row if _is_number(entry))
    return not is_whole or (len(names) > 3 and float(names[0]) == 0)


def _counts(numbers: NDArray[Any]) -> bool:
    """Returns whether numbers are consecutive whole ones."""
    return bool(np.all(np.diff(numbers) == 1) and float(numbers[0]).is_integer())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(rows: list[list[str]], heading: list[str] | None, first: int) -> NDArray[Any]:
    """Returns the entries as float64 [rows, columns]; `first` is the line of the first row."""
    if not rows:
        raise ValueError("it has no rows")
    columns = len(heading or rows[0])
    for line, row in enumerate(rows, first):
        if len(row) != columns:
            raise ValueError(f"line {line} must have {columns} entries as the first has, but has {len(row)}")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        places = ((i, j) for i, row in enumerate(rows) for j, entry in enumerate(row) if not _is_number(entry))
        line, column = next(places)
        name, entry = (heading and heading[column]) or f"{column + 1}", rows[line][column]
        raise ValueError(f"line {line + first} must have a number in column {name}, but has {entry!r}") from None
