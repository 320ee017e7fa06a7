"""Choice of the columns of a table: those of x, that of labels, that of splits, and those left out.

A column is named by its heading, or by its number from 0. One of True and False is bits. A first column that numbers or
names the rows is left out, as is a last one without name and entries. A column `split` of names of splits is that, and
one called as in `LABELS` is the label if its entries are classes. Several columns of labels are those of attributes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmrun.data import classes
from dgmrun.data.splits import split_named
from dgmrun.data.tables import ROW_NAMES, Table
from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.text import AUTO

Label = str | int | tuple[str | int, ...] | None
"""Setting of the column or columns of labels."""
LABELS = ("y", "label", "labels", "target", "targets", "class", "classes")
SPLIT = ("split", "splits")
INDEX = ("", "unnamed: 0", "index", "id", "__index_level_0__")
BITS = {"true": 1.0, "false": 0.0}
MOST_NAMES, LONGEST = 12, 50
"""Most names of columns in a message, and most characters of an entry."""


@dataclass(frozen=True)
class Contents:
    """What a file has.

    Args:
        x: examples [N, ...], nan where an entry is missing.
        label: label of each example, as numbers [N] or [N, K] or as words [N], if there are any.
        split: name of the split of each example, if there are any.
        column: name of a dimension of x, by its number.
        key: the same as `dataset.drop` takes it, if x is a table.
        place: name of an example, by its number.
        understood: what was understood of the file.
        doubts: what may be otherwise.
    """

    x: NDArray[Any]
    label: NDArray[Any] | None = None
    split: NDArray[Any] | None = None
    column: Callable[[int], str] = "dimension {} (from 0)".format
    key: Callable[[int], str] | None = None
    place: Callable[[int], str] = "row {} (from 0)".format
    understood: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def chosen(table: Table, label: Label, drop: Sequence[str | int]) -> Contents:
    """Chooses the columns of a table.

    Args:
        table: the table.
        label: column of the labels, or several; None for none, `auto` to recognise it.
        drop: columns to leave out.

    Raises:
        Mistake: a column does not exist, or one of x has words.
    """
    _check_names(table)
    dropped = {_position(table, "drop", each) for each in drop}
    said = [f"{' and '.join(map(table.name, sorted(dropped)))} dropped"] if dropped else []
    of_labels = _labels(table, label, dropped)
    if twice := dropped & {*of_labels}:
        raise Mistake(f"`dataset.drop` must not have the column of `dataset.label`, but has {key(table, min(twice))}")
    free = (each for each in range(len(table.x.T)) if each not in (*dropped, *of_labels))
    of_split = next((each for each in free if _is_split(table, each)), None)
    taken = {*dropped, *of_labels, of_split}
    for column, why in _left_out(table):
        if column not in taken:
            taken.add(column)
            said.append(why)
    kept = [column for column in range(len(table.x.T)) if column not in taken]
    if not kept:
        raise Mistake("`dataset.path` must have a column of numbers beside those of labels, splits and `dataset.drop`")
    return Contents(
        np.stack([_numbers(table, column) for column in kept], 1),
        _label(table, label, of_labels),
        None if of_split is None else _values(table, of_split),
        lambda dimension: f"column {table.name(kept[dimension])}",
        lambda dimension: key(table, kept[dimension]),
        table.place,
        [*table.understood, *said, *_said(table, label, of_labels, kept)],
        table.doubts,
    )


def named(setting: str, value: Any) -> tuple[str | int, ...]:
    """Returns the columns that a setting names: one, or a list.

    Raises:
        Mistake: they are no names or numbers.
    """
    listed = value if isinstance(value, (list, tuple)) else [value]
    if not all(type(each) in (str, int) for each in listed):
        inner = listed[0] if len(listed) == 1 and isinstance(listed[0], (list, tuple)) else ()
        must = f"`dataset.{setting}` must be the name or number of a column, or a list of them"
        raise Mistake(f"{must}, but is {value}", f"dataset.{setting}=[{inner[0]}]" if len(inner) == 1 else None)
    return tuple(listed)


def key(table: Table, column: int) -> str:
    """Returns the name of a column as it is typed in a command, or its number if the name would need quotes."""
    name = table.names[column] if table.names else ""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else str(column)


def _check_names(table: Table) -> None:
    twice = [name for name, count in Counter(table.names).items() if name and count > 1]
    if twice:
        raise Mistake(
            f"`dataset.path` must have columns of different names, but has several called {twice[0]}",
            "rename them in the first line of the file",
        )


def _position(table: Table, setting: str, which: str | int) -> int:
    names, columns = table.names or [], table.x.shape[1]
    if str(which) in names:
        return names.index(str(which))
    if type(which) is int and 0 <= which < columns:
        return which
    known = ", ".join([*map(_apart, names[:MOST_NAMES]), *(["..."] if len(names) > MOST_NAMES else [])])
    must = f"{known}, or a number from 0 to {columns - 1}" if names else f"the number of one, from 0 to {columns - 1}"
    whole = next((column for column, name in enumerate(names) if str(which) in re.split(r"\s*,\s*", name)), None)
    is_list = setting == "drop"
    raise Mistake(
        f"`dataset.{setting}` must be columns of the table: {must}, but is {which}{nearest(str(which), names)}",
        None if whole is None else f"dataset.{setting}={f'[{whole}]' if is_list else whole} is {_apart(names[whole])}",
    )


def _apart(name: str) -> str:
    """Returns a name of a column in quotes, unless it is a word."""
    return name if re.fullmatch(r"\w+", name) else f'"{name}"'


def _labels(table: Table, label: Label, dropped: set[int]) -> list[int]:
    """Returns the columns of the labels."""
    if label == AUTO:
        found = _recognised(table, dropped)
        return [] if found is None else [found]
    named = label if isinstance(label, tuple) else () if label is None else (label,)
    return [_position(table, "label", each) for each in named]


def _label(table: Table, label: Label, of_labels: Sequence[int]) -> NDArray[Any] | None:
    """Returns the entries of one column of labels, or the numbers of a list of columns, [N, K]."""
    if isinstance(label, tuple):
        return np.stack([_numbers(table, column) for column in of_labels], 1)
    return _values(table, of_labels[0]) if of_labels else None


def _recognised(table: Table, dropped: set[int]) -> int | None:
    """Returns the column that is called as labels are, if its entries are classes."""
    for column in _called_labels(table):
        if column in dropped:
            continue
        try:
            classes.of(_values(table, column), table.place)
        except Mistake:
            continue
        return column
    return None


def _said(table: Table, label: Label, of_labels: Sequence[int], kept: Sequence[int]) -> list[str]:
    """Returns what to say of the columns of labels, and of others that are called as one."""
    settled = " (dataset.label=null for none)" if label == AUTO else ""
    columns = f"column{'s' if len(of_labels) > 1 else ''} {' and '.join(map(table.name, of_labels))}"
    said = [f"labels from {columns}{settled}"] if of_labels else []
    alike = [table.name(column) for column in _called_labels(table) if column in kept and label == AUTO]
    return said + [f"{name} as numbers, as it has no classes" for name in alike]


def _called_labels(table: Table) -> list[int]:
    """Returns the columns that are called as labels are; x and y are coordinates."""
    names = [name.lower() for name in table.names or ()]
    return [column for column, name in enumerate(names) if name in LABELS and not (name == "y" and "x" in names)]


def _is_split(table: Table, column: int) -> bool:
    words = table.words.get(column, {})
    is_named = table.name(column).lower() in SPLIT and bool(np.isnan(table.x[:, column]).all())
    return is_named and any(split_named(word) for word in words.values())


def _left_out(table: Table) -> list[tuple[int, str]]:
    """Returns columns that have no numbers of their own, and what to say of each."""
    last, found = table.x.shape[1] - 1, []
    if last and not (table.names and table.names[last]) and not _is_filled(table, last):
        found.append((last, "empty last column left out"))
    if last and table.names and table.names[0].lower() in (*INDEX, ROW_NAMES):
        first, named, words = table.x[:, 0], table.names[0] not in ("", ROW_NAMES), table.words.get(0, {})
        if len(set(words.values())) == len(first) and not named:
            found.append((0, "first column left out, as it names the rows"))
        elif table.names[0] == ROW_NAMES or (not words and _is_index(first, named)):
            found.append((0, "first column left out, as it numbers the rows"))
    return found


def _is_index(column: NDArray[Any], named: bool) -> bool:
    """Returns whether a column numbers the rows: in order, or in any order if it has no name."""
    is_whole = bool(np.all(np.isfinite(column) & (column == column.round())))
    return is_whole and bool(np.all(np.diff(column) == 1) if named else len(np.unique(column)) == len(column))


def _is_filled(table: Table, column: int) -> bool:
    return bool(table.words.get(column)) or not np.isnan(table.x[:, column]).all()


def _values(table: Table, column: int) -> NDArray[Any]:
    """Returns the entries of a column: numbers, or words if there are any, empty where one is missing."""
    numbers, words = table.x[:, column], table.words.get(column, {})
    if not words:
        return numbers
    return np.array([words.get(row, "" if np.isnan(each) else f"{each:g}") for row, each in enumerate(numbers)])


def _numbers(table: Table, column: int) -> NDArray[Any]:
    """Returns the numbers of a column of x.

    Raises:
        Mistake: it has words, or nothing.
    """
    words, numbers, name = table.words.get(column, {}), table.x[:, column], key(table, column)
    if not _is_filled(table, column):
        raise Mistake(
            f"`dataset.path` must have numbers in column {table.name(column)}, but has none there",
            f"dataset.drop=[{name}] leaves it out",
        )
    if not words:
        return numbers
    if np.isnan(numbers).all() and {*map(str.lower, words.values())} <= {*BITS}:
        bits = numbers.copy()
        bits[list(words)] = [BITS[word.lower()] for word in words.values()]
        return bits
    row = min(words)
    where = f"{table.place(row)} in column {table.name(column)}"
    heading = "dataset.header=true takes the line as a heading; " if row == 0 and not table.names else ""
    cures = f"dataset.drop=[{name}] leaves the column out, dataset.label={name} makes classes; else write a number"
    raise Mistake(
        f"`dataset.path` must have a number at {where}, but has {words[row][:LONGEST]!r}",
        heading + cures,
    )
