"""Tables of numbers as text: .csv, .tsv and .txt, as spreadsheets, R, pandas and numpy write them.

Entries are separated by semicolons, tabs, commas or else spaces: the first of these that gives every line as many
entries. Where commas separate nothing and no number has a point, they are decimal commas. The first line is a heading
if most of it are words, or numbers that only count the columns: any consecutive ones above rows with fractions, else
0, 1, 2, 3, ..., as pandas writes. A first column that numbers the rows, whose heading is empty, `index` or `id`, is
left out. Lines that begin with # are comments; the last of those before the rows may be a heading.
"""

from __future__ import annotations

import codecs
import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "spaces"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
INDEX = {"", "unnamed: 0", "index", "id"}
DECIMAL = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
TRIED = 20
"""Lines on which separators are tried."""


class Table(NamedTuple):
    """Numbers x [rows, columns], and what was understood of the file."""

    x: NDArray[Any]
    understood: list[str]


class Line(NamedTuple):
    """Entries of a line, and its number in the file."""

    number: int
    entries: list[str]


def read(path: Path, header: bool | None = None) -> Table:
    """Reads a table.

    Args:
        path: path of the file.
        header: whether the first line is a heading; None to recognise it.

    Raises:
        ValueError: an entry is no number, or rows differ in length; the message names line and column.
    """
    texts = [(number, text) for number, text in enumerate(_text(path).splitlines(), 1) if text.strip()]
    comments = [text.lstrip()[1:] for _, text in texts if text.lstrip().startswith("#")]
    texts = [(number, text) for number, text in texts if not text.lstrip().startswith("#")]
    if texts and re.fullmatch("sep=.", texts[0][1].strip().lower()):
        texts = texts[1:]
    if not texts:
        raise ValueError("it has no rows")
    separator = _separator([text for _, text in texts[:TRIED]])
    lines = [Line(number, _entries(text, separator)) for number, text in texts]
    every = [entry for line in lines[1:] for entry in line.entries]
    has_commas = any(map(DECIMAL.fullmatch, every)) and not any("." in entry for entry in every)
    if has_commas:
        lines = [Line(number, [_with_point(entry) for entry in entries]) for number, entries in lines]
    noted = [_entries(text, separator) for text in comments[-1:]]
    if any(len(entries) == len(lines[0].entries) for entries in noted) and header is not False:
        heading, rows = noted[0], lines
    elif _is_heading([line.entries for line in lines]) if header is None else header:
        heading, rows = lines[0].entries, lines[1:]
    else:
        heading, rows = None, lines
    read_as = [f"separated by {SEPARATORS[separator]}" if len(lines[0].entries) > 1 else "one column"]
    return _table(rows, heading, read_as + ["decimal commas"] * has_commas)


def _text(path: Path) -> str:
    """Decodes UTF-8 or, as spreadsheets write, UTF-16 or else Windows-1252."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _separator(lines: list[str]) -> str:
    for mark in SEPARATORS:
        counts = {len(_entries(line, mark)) for line in lines}
        if len(counts) == 1 and counts != {1}:
            return mark
    unquoted = re.sub('"[^"]*"', "", lines[0]).strip()
    return next((mark for mark in SEPARATORS if mark in unquoted), ",")


def _entries(line: str, separator: str) -> list[str]:
    line = " ".join(line.split()) if separator == " " else line
    try:
        return [entry.strip() for entry in next(csv.reader([line], delimiter=separator))]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _with_point(entry: str) -> str:
    return entry.replace(",", ".") if DECIMAL.fullmatch(entry) else entry


def _table(rows: list[Line], heading: list[str] | None, read_as: list[str]) -> Table:
    if not rows:
        raise ValueError("it has no rows")
    x = _numbers(rows, heading)
    understood = [*read_as, "heading left out" if heading else "no heading"]
    if heading and x.shape[1] > 1 and heading[0].lower() in INDEX and _is_index(x[:, 0], named=bool(heading[0])):
        return Table(x[:, 1:], [*understood, "first column left out, as it numbers the rows"])
    return Table(x, understood)


def _is_index(column: NDArray[Any], named: bool) -> bool:
    """Returns whether a column numbers the rows: in order, or in any order if it has no name."""
    is_distinct = len(np.unique(column)) == len(column) and bool(np.all(column == column.round()))
    return _counts(column) if named else is_distinct


def _is_heading(lines: list[list[str]]) -> bool:
    first, others = lines[0], lines[1:]
    words = [entry for entry in first if entry.lower() not in MISSING and not _is_number(entry)]
    if words or not others:
        return 2 * len(words) > len(first) - first.count("")
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


def _numbers(rows: list[Line], heading: list[str] | None) -> NDArray[Any]:
    """Returns the entries as float64 [rows, columns]."""
    columns = len(heading or rows[0].entries)
    for row in rows:
        if len(row.entries) != columns:
            raise ValueError(
                f"line {row.number} must have {columns} entries as the first has, but has {len(row.entries)}"
            )
    try:
        return np.array([row.entries for row in rows], dtype=np.float64)
    except ValueError:
        places = ((row, column) for row in rows for column in range(columns) if not _is_number(row.entries[column]))
        row, column = next(places)
        name, entry = (heading and heading[column]) or f"{column + 1}", row.entries[column]
        raise ValueError(f"line {row.number} must have a number in column {name}, but has {entry!r}") from None
