"""Arrays of .npz, .npy and .mat: which is x, which are labels and splits.

x is the array of that name, `data` or `images`, or the only one of numbers. Labels are `y`, `label`, `target`, `class`
or their plurals: words [N], or numbers [N] or [N, K], described in dgmrun/data/labels.py. Arrays by split, such as
`x_train`, `y_train`, `x_test`, `y_test`, are joined.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmrun.data import columns, pictures
from dgmrun.data.columns import Contents, Label
from dgmrun.data.splits import SPLITS, split_named
from dgmrun.data.tables import Table
from dgmrun.errors import Mistake
from dgmrun.protocols.text import AUTO

Arrays = dict[str, NDArray[Any]]
NAMES = {
    **dict.fromkeys(("x", "data", "images"), "x"),
    **dict.fromkeys(columns.LABELS, "y"),
    **dict.fromkeys(columns.SPLIT, "split"),
}
"""What an array is, by its name."""


def contents(arrays: Arrays, label: Label, drop: Sequence[str | int], layout: str | None) -> Contents:
    """Returns what a file of arrays has.

    Args:
        arrays: its arrays, by name.
        label: array or column of the labels, or several columns; None for none, `auto` to recognise it.
        drop: columns of a table to leave out.
        layout: `examples_last` if the last axis is that of the examples; None to recognise it.

    Raises:
        Mistake: they are not as described above.
    """
    named, said = _named(arrays, label)
    x = _checked(named["x"])
    y = named.get("y")
    x, moved = pictures.examples_first(x, layout, None if y is None or y.ndim > 2 else _number(y))
    _check_number(x)
    is_column = label not in (None, AUTO, *arrays)
    if x.ndim == 2 and x.dtype.kind in "biuf":
        found = columns.chosen(Table(x.astype(np.float64)), label if is_column else None, drop)
    elif is_column or drop:
        key, value = ("label", label) if is_column else ("drop", drop)
        must = f"`dataset.{key}` must be {'the name of an array' if is_column else '[]'} where x is {list(x.shape)}"
        raise Mistake(f"{must}, but is {value}", "dataset.label=null" if is_column else "dataset.drop=[]")
    else:
        found = Contents(x if x.dtype == np.uint8 else x.astype(np.float64))
    if y is not None and not is_column:
        found = replace(found, label=_label(y, len(x)))
    elif y is not None:
        said = [*said, "y left out"]
    split = named["split"].astype(str) if "split" in named else None
    if split is not None and split.shape != (len(x),):
        raise Mistake(f"`dataset.path` must hold a split of {len(x)} names, but its split is {list(split.shape)}")
    return replace(found, split=split, understood=[*said, *moved, *found.understood])


def _named(arrays: Arrays, label: Label) -> tuple[Arrays, list[str]]:
    """Returns the arrays under the names x, y and split, and which are left out."""
    names = {name: NAMES[name.lower()] for name in arrays if name.lower() in NAMES}
    if label is None or label in arrays:
        names = {name: part for name, part in names.items() if part != "y"} | {label: "y"} if label else names
    if "x" not in names.values():
        joined = _joined(arrays, has_labels=label is not None)
        if joined:
            return joined
        others = [name for name, array in arrays.items() if name not in names and array.dtype.kind in "biufc"]
        others = [name for name in others if len(others) == 1 or arrays[name].size > 1]
        only = others or list(arrays)
        if (len(others) == 1 or len(arrays) == 1) and only[0].isidentifier():
            names[only[0]] = "x"
    found = {part: arrays[name] for name, part in reversed(names.items())}
    if "x" not in found:
        told = f"`dataset.path` must hold an array x, but holds {', '.join(arrays) or 'nothing'}"
        raise Mistake(told, "numpy.savez(FILE, x=..., y=..., split=...) writes one")
    if label is None:
        found.pop("y", None)
    unused = [name for name in arrays if arrays[name] is not found.get(names.get(name, ""))]
    return found, [f"{', '.join(unused)} left out"] if unused else []


def _joined(arrays: Arrays, has_labels: bool) -> tuple[Arrays, list[str]] | None:
    """Joins arrays by split, such as x_train and y_test; None if there are none."""
    parts: dict[str, dict[str, NDArray[Any]]] = {"x": {}, "y": {}}
    for name, array in arrays.items():
        words = re.findall(r"[a-z]+", re.sub(r"^([xy])(?=[a-z])", r"\1_", name.lower()))
        splits = [split for word in words if (split := split_named(word))]
        rest = [word for word in words if not split_named(word)]
        part = NAMES.get(rest[0] if len(rest) == 1 else "" if rest else "x")
        if len(splits) == 1 and part in parts:
            parts[part][splits[0]] = array
    order = [split for split in SPLITS if split in parts["x"]]
    if len(order) < 2:
        return None
    shapes = {split: list(parts["x"][split].shape) for split in order}
    if len({str(shape[1:]) for shape in shapes.values()}) > 1:
        raise Mistake(f"`dataset.path` must hold examples of one shape in each split, but holds {shapes}")
    found = {"x": np.concatenate([parts["x"][split] for split in order])}
    found["split"] = np.repeat(order, [len(parts["x"][split]) for split in order])
    used = [parts["x"][split] for split in order]
    if has_labels and all(split in parts["y"] for split in order):
        labels = [parts["y"][split] for split in order]
        found["y"], used = np.concatenate(labels), [*used, *labels]
    unused = [name for name, array in arrays.items() if not any(array is one for one in used)]
    return found, [f"arrays of {', '.join(order)} joined", *([f"{', '.join(unused)} left out"] if unused else [])]


def _number(y: NDArray[Any]) -> int:
    """Returns the number of labels: they may be a row."""
    return y.size if 1 in y.shape else len(y) if y.ndim else 0


def _checked(x: NDArray[Any]) -> NDArray[Any]:
    """Returns x if it has numbers in at least two axes.

    Raises:
        Mistake: it has not.
    """
    if x.dtype.kind not in "biuf" or x.ndim < 2 or x.size == 0:
        hints = {1: "x.reshape(-1, 1) is a table of one column"} if x.dtype.kind in "biuf" else {}
        raise _of_another_shape(x, hints.get(x.ndim))
    return x


def _check_number(x: NDArray[Any]) -> None:
    if len(x) < len(SPLITS):
        raise _of_another_shape(x, None)


def _of_another_shape(x: NDArray[Any], hint: str | None) -> Mistake:
    is_complex = x.dtype.kind == "c"
    return Mistake(
        f"`dataset.path` must hold numbers x [N, ...] with N at least 3, but x is {x.dtype.name} {list(x.shape)}",
        "numpy.stack([x.real, x.imag], -1) makes two real numbers of each" if is_complex else hint,
    )


def _label(y: NDArray[Any], rows: int) -> NDArray[Any]:
    """Returns labels as numbers [N] or [N, K], or words [N].

    Raises:
        Mistake: they are not of `rows` examples.
    """
    if y.shape in ((rows, 1), (1, rows)):
        y = y.reshape(rows)
    is_number = y.dtype.kind in "biuf"
    is_row = is_number and y.ndim == 2 and y.size > 0
    if y.shape[:1] != (rows,) or not (is_row or (y.ndim == 1 and (is_number or y.dtype.kind in "SU"))):
        kind = f"{y.dtype.name} {list(y.shape)}"
        hint = "dataset.label=null reads no labels, dataset.layout=examples_last x [..., N]"
        raise Mistake(f"`dataset.path` must hold labels y [{rows}] or [{rows}, K], or no y, but y is {kind}", hint)
    if is_number:
        return y.astype(np.float64)
    return np.char.strip(np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y)
