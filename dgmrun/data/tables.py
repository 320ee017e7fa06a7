"""Tables as text: .csv, .tsv and .txt, as spreadsheets, R, pandas and numpy write them.

Entries are separated by semicolons, tabs, commas, bars or else spaces: the first of these that gives every line as many
entries. Where commas separate nothing and no number has a point, they are decimal commas; those of 1,234,567 and of
"1,234" between commas are left out. The first line is a heading as described in dgmrun/data/heading.py; one that
lacks an entry is R's, whose first column has the names of the rows. Lines that begin with # are
comments; the last of those before the rows may be a heading.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dgmrun.data import heading

SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars", " ": "spaces"}
MISSING = {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "nil", "none", "?", "-", "--", ".", "missing"}
DECIMAL = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
TWICE = re.compile(r".*,.*[,.].*")
"""A number with another mark behind a comma, which is then between thousands."""
TRIED = 20
"""Lines on which separators are tried."""
LONGEST = 2**31 - 1
"""Characters of an entry: those of a whole line, where another separator is tried."""
ROW_NAMES = "row names"
"""Name of R's column of them, which its headings lack."""
Words = dict[int, dict[int, str]]


@dataclass(frozen=True)
class Table:
    """A table, in which words may stand among numbers.

    Args:
        x: numbers [rows, columns], nan where an entry is missing or a word.
        names: names of the columns; None if there is no heading.
        words: entries that are no numbers, by column and row.
        lines: number of each row in the file; None if it has none, and rows are counted from 0.
        understood: what was understood of the file.
        doubts: what may be otherwise.
    """

    x: NDArray[Any]
    names: list[str] | None = None
    words: Words = field(default_factory=dict)
    lines: Sequence[int] | None = None
    understood: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def name(self, column: int) -> str:
        """Returns the name of a column, or else its number from 0."""
        return (self.names and self.names[column]) or f"{column} (from 0)"

    def place(self, row: int) -> str:
        """Returns where a row stands."""
        return f"row {row} (from 0)" if self.lines is None else f"line {self.lines[row]}"


class Record(NamedTuple):
    """Entries, and the number of their first line in the file."""

    line: int
    entries: list[str]


def read(path: Path, header: bool | None = None) -> Table:
    """Reads a table.

    Args:
        path: path of the file.
        header: whether the first line is a heading; None to recognise it.

    Raises:
        ValueError: there are no rows, or they differ in length; the message names the line.
    """
    csv.field_size_limit(LONGEST)
    texts = [(number, text) for number, text in enumerate(_text(path).splitlines(), 1) if text.strip()]
    comments = [text.lstrip()[1:] for _, text in texts if text.lstrip().startswith("#")]
    texts = [(number, text) for number, text in texts if not text.lstrip().startswith("#")]
    if texts and re.fullmatch("sep=.", texts[0][1].strip().lower()):
        texts = texts[1:]
    if not texts:
        raise ValueError("it has no rows")
    numbers, lines = [number for number, _ in texts], [text for _, text in texts]
    separator = _separator(lines[:TRIED])
    every = [Record(numbers[start], entries) for start, entries in _records(lines, separator)]
    records = [record for record in every if any(record.entries) or len(record.entries) == 1]
    if not records:
        raise ValueError("it has no rows")
    noted = [entries for text in comments[-1:] for _, entries in _records([text], separator)]
    if header is not False and noted and len(noted[0]) == len(records[0].entries):
        records, header = [Record(0, noted[0]), *records], True
    blank = [f"{len(every) - len(records)} empty lines left out"] if len(every) > len(records) else []
    return _table(_squared(records), separator, header, blank)


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
    """Returns the mark that gives all lines as many entries, or all but a heading that lacks one."""
    counts = {mark: [len(entries) for _, entries in _records(lines, mark)] for mark in SEPARATORS}
    for lacking in (0, 1):
        for mark, (first, *others) in counts.items():
            if first + lacking > 1 and set(others or [first]) == {first + lacking}:
                return mark
    unquoted = re.sub('"[^"]*"', "", lines[0]).strip()
    return next((mark for mark in SEPARATORS if mark in unquoted), ",")


def _records(lines: Sequence[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the place of the first line of each record, and its entries: quoted ones may go over several lines."""
    spaced = (" ".join(line.split()) if separator == " " else line for line in lines)
    reader, start = csv.reader((f"{line}\n" for line in spaced), delimiter=separator), 0
    try:
        for entries in reader:
            yield start, [entry.strip() for entry in entries]
            start = reader.line_num
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _squared(records: list[Record]) -> list[Record]:
    """Returns records of as many entries; a heading that lacks the first or an empty last one is given it.

    Raises:
        ValueError: they differ otherwise.
    """
    first, *others = records
    if others and {len(other.entries) for other in others} == {len(first.entries) + 1}:
        is_ended = not any(other.entries[-1] for other in others)
        records = [Record(first.line, [*first.entries, ""] if is_ended else [ROW_NAMES, *first.entries]), *others]
    columns = len(records[0].entries)
    for line, entries in records:
        if len(entries) != columns:
            raise ValueError(f"line {line} must have {columns} entries as the first has, but has {len(entries)}")
    return records


def _table(records: list[Record], separator: str, header: bool | None, blank: list[str]) -> Table:
    first = records[0].entries
    x, words = _numbers(records)
    said = [f"separated by {SEPARATORS[separator]}" if len(first) > 1 else "one column"]
    said += _without_commas(records, x, words, separator)
    if header is None:
        header = ROW_NAMES in first or heading.is_one(first, x)
    doubts = [] if header else heading.doubts(x)
    names = [" ".join(entry.split()) for entry in first] if header else None
    if header:
        x, records = x[1:], records[1:]
        words = {column: {row - 1: word for row, word in of.items() if row} for column, of in words.items()}
    if not len(x):
        raise ValueError("it has a heading and no rows")
    understood = [*said, "heading left out" if header else "no heading", *blank]
    filled = {column: of for column, of in words.items() if of}
    return Table(x, names, filled, [record.line for record in records], understood, doubts)


def _numbers(records: list[Record]) -> tuple[NDArray[Any], Words]:
    """Returns the numbers [rows, columns], nan where there is none, and the words by column and row."""
    x = np.full((len(records), len(records[0].entries)), np.nan)
    words: Words = {}
    for row, (_, entries) in enumerate(records):
        try:
            if "_" in "".join(entries):  # which Python allows within numbers
                raise ValueError
            x[row] = np.array(entries, dtype=np.float64)
        except ValueError:
            for column, entry in enumerate(entries):
                x[row, column] = number(entry)
                if np.isnan(x[row, column]) and entry.lower() not in MISSING:
                    words.setdefault(column, {})[row] = entry
    return x, words


def number(entry: str) -> float:
    """Returns the number that an entry is, or nan."""
    try:
        return math.nan if "_" in entry else float(entry)
    except ValueError:
        return math.nan


def _without_commas(records: list[Record], x: NDArray[Any], words: Words, separator: str) -> list[str]:
    """Makes numbers of the words with decimal commas, or else those between thousands; returns what was understood."""
    commas = [word for of in words.values() for word in of.values() if re.fullmatch(r"[-+\d,.eE]+", word)]
    grouped = [word for word in commas if GROUPED.fullmatch(word)]
    if not commas:
        return []
    if separator != "," and all(map(DECIMAL.fullmatch, commas)) and not _has_points(records):
        mark, said = ".", f"decimal commas, as {commas[0]} is {commas[0].replace(',', '.')}"
    elif len(grouped) == len(commas) and (separator == "," or any(map(TWICE.fullmatch, grouped))):
        mark, said = "", f"commas between thousands, as {commas[0]} is {commas[0].replace(',', '')}"
    else:
        return []
    for column, of in words.items():
        for row, word in list(of.items()):
            if "," in word and not np.isnan(found := number(word.replace(",", mark))):
                x[row, column] = found
                del of[row]
    return [said]


def _has_points(records: list[Record]) -> bool:
    """Returns whether a number below the first line has a point."""
    return any("." in entry and not np.isnan(number(entry)) for _, entries in records[1:] for entry in entries)
