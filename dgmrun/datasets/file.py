"""Your own table or images, in one file: `dataset=file dataset.path=F`.

- `.npz`, `.npy`, `.mat`: arrays, described in dgmrun/data/arrays.py: x [N, ...], labels y and names of splits if any.
- `.csv`, `.tsv`, `.txt`, `.parquet`: a table, described in dgmrun/data/tables.py and dgmrun/data/columns.py.

`dataset.label` names the column or array of the labels, whose words or whole numbers become classes 0, 1, ... in order,
or several columns, of attributes; `dataset.label_kind` says what they are, of the kinds in dgmrun/data/labels.py, if
that is not what is recognised. `dataset.drop` names columns to leave out. Missing values are refused, unless
`dataset.missing` is `drop` or `mean`. Without a split, a permutation of the rows, the same for every run, is cut into
80 % train and 10 % each of valid and test; where only valid is lacking, it is cut from train. Images may be [N, h, w],
[N, c, h, w], [N, h, w, c] or [h, w, c, N], described in dgmrun/data/pictures.py. Other whole numbers are counts. What
is understood of a file is logged in one line.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data import arrays, columns, matlab, parquet, pictures, tables
from dgmrun.data import labels as label_kinds
from dgmrun.data import missing as missing_values
from dgmrun.data.check import inside
from dgmrun.data.columns import Contents, Label
from dgmrun.data.labels import Labels
from dgmrun.data.splits import SPLITS, Split, Splits, places, split_named, without_valid
from dgmrun.errors import Mistake, nearest, printable
from dgmrun.protocols.text import AUTO
from dgmrun.protocols.values import Event
from dgmrun.run import untrusted

log = logging.getLogger("dgmrun")
TEXT, ARRAYS = (".csv", ".tsv", ".txt"), (".npz", ".npy", ".mat")
ENDINGS = (*TEXT, ".parquet", *ARRAYS)
KINDS = ("binary", "unit", "counts", "real")
WORDS = {
    "layout": pictures.LAYOUTS,
    "kind": KINDS,
    "label_kind": label_kinds.KINDS,
    "missing": missing_values.RULES,
}
"""Words that a setting may be, beside null."""
LIGHT = 128
"""Largest whole number from which some may be grey levels."""


class Read(NamedTuple):
    """Contents of a file: examples x, their event, rows of each split, labels, and what was understood."""

    x: Tensor
    event: Event
    rows: Sequence[Tensor]
    labels: Labels | None
    understood: list[str]
    doubts: list[str]
    column: Callable[[int], str]
    key: Callable[[int], str] | None


def load(
    data_dir: Path,
    path: str,
    header: bool | None = None,
    label: str | int | Sequence[str | int] | None = AUTO,
    drop: str | int | Sequence[str | int] = (),
    missing: str | None = None,
    layout: str | None = None,
    background: str = pictures.NO_BACKGROUND,
    kind: str | None = None,
    label_kind: str | None = None,
) -> Splits:
    """Loads x, and labels if there are any, from the file.

    Args:
        data_dir: unused.
        path: path of the file.
        header: whether the first line of a text file is a heading; None to recognise it.
        label: column or array of the labels, or a list of columns, by name or number; None for none, `auto` to
            recognise it.
        drop: columns of a table to leave out, by name or number.
        missing: `drop` rows with missing values, or take the `mean` of the training split; None to refuse them.
        layout: `channels_first`, `channels_last` or `examples_last`, of images; None to recognise it.
        background: colour behind transparent images, a name or #rrggbb; `none` to keep the fourth channel.
        kind: kind of x, `binary`, `unit`, `counts` or `real`; None for the first that suits it.
        label_kind: `classes`, `binary`, `real` or `tokens`; None to recognise it.

    Raises:
        Mistake: the file cannot be read, or its arrays are not as described above.
    """
    of_table = {"header": header, "label": label, "missing": missing, "label_kind": label_kind}
    read = _read(path, drop, layout=layout, background=background, kind=kind, **of_table)
    shape = "x".join(map(str, read.x.shape))
    log.info("data        %s", printable(f"{path}: {shape}, {', '.join([read.event.kind, *read.understood])}"))
    return _splits(read)


def _splits(read: Read) -> Splits:
    y = None if read.labels is None else read.labels.y
    cut = zip(SPLITS, read.rows, strict=True)
    return {
        split: Split(read.x[rows], None if y is None else y[rows], column=read.column, key=read.key)
        for split, rows in cut
    }


def event(path: str, **reading: Any) -> Event:
    """Returns the event of x: the shape of a row, and its kind."""
    return _read(path, **reading).event


def labels(path: str, **reading: Any) -> Event | None:
    """Returns the event of labels; None if there are none that a model could take."""
    found = _read(path, **reading).labels
    return None if found is None else found.event


def classes(path: str, **reading: Any) -> list[str]:
    """Returns the word of each class."""
    found = _read(path, **reading).labels
    return [] if found is None else found.words


def doubts(path: str, **reading: Any) -> list[str]:
    """Returns what may be meant otherwise than it was understood."""
    return _read(path, **reading).doubts


def transform(path: str, **reading: Any) -> str:
    """Returns the transform by which grey levels and counts have a density, with noise within each; else `none`."""
    read = _read(path, **reading)
    if read.event.kind == "unit" and pictures.are_whole(read.x * pictures.BYTE):
        return "dequantise"
    return "jitter" if read.event.kind == "counts" else "none"


def _read(name: str, drop: Any = (), **reading: Any) -> Read:
    path = Path(name).expanduser()
    if path.suffix.lower() not in ENDINGS:
        hint = (
            "dataset=images reads a folder of pictures, dataset=audio of sounds, dataset=text lines of text; "
            "spreadsheets save a table as .csv, numpy.save an array as .npy"
        )
        raise Mistake(f"`dataset.path` must end in {', '.join(ENDINGS)}, but is {path}", hint)
    if not path.is_file():
        there = f"{path} is a folder" if path.is_dir() else f"there is no {path}"
        raise Mistake(f"`dataset.path` must be a file, but {there}", "dataset.path=FILE, where it is now")
    if reading.get("header") not in (None, True, False):
        raise Mistake(f"`dataset.header` must be true, false or null, but is {reading['header']}")
    for key, words in WORDS.items():
        if reading.get(key) not in (None, *words):
            near = nearest(str(reading[key]), words)
            raise Mistake(f"`dataset.{key}` must be {', '.join(words)} or null, but is {reading[key]}{near}")
    if reading.get("background", pictures.NO_BACKGROUND) != pictures.NO_BACKGROUND:
        pictures.check_colour(reading["background"])
    label, dropped = reading.pop("label", AUTO), () if drop is None else columns.named("drop", drop)
    named = None if label is None else columns.named("label", label)
    label = (named or None) if isinstance(label, (list, tuple)) else label
    return _understood(path, path.stat().st_mtime_ns, dropped, label=label, **reading)


@lru_cache(maxsize=1)
def _understood(
    path: Path,
    changed: int,
    drop: tuple[str | int, ...],
    header: bool | None = None,
    label: Label = AUTO,
    missing: str | None = None,
    layout: str | None = None,
    background: str = pictures.NO_BACKGROUND,
    kind: str | None = None,
    label_kind: str | None = None,
) -> Read:
    """Reads a file; the last one is kept, as event, labels and examples are asked for one after another."""
    contents = missing_values.without(_contents(path, header, label, drop, layout), missing)
    if len(contents.x) < len(SPLITS):
        raise Mistake(f"`dataset.path` must hold at least 3 examples, but {path} has {len(contents.x)}")
    rows, how = _rows(contents)
    contents = missing_values.filled(contents, rows[0])
    found = _labels(contents, label, label_kind)
    x, said = _x(contents.x, layout, background, kind)
    seen = _event(x, kind)
    of_labels = [] if found is None else [found.understood]
    understood = [*contents.understood, *said, *_counts(x, seen), *of_labels, how]
    return Read(_stored(x, seen), seen, rows, found, understood, contents.doubts, contents.column, contents.key)


def _contents(
    path: Path, header: bool | None, label: Label, drop: tuple[str | int, ...], layout: str | None
) -> Contents:
    """Returns what a file has."""
    try:
        ending = path.suffix.lower()
        if ending in ARRAYS:
            found = matlab.arrays(path) if ending == ".mat" else untrusted.arrays(path, packing=math.inf)
            return arrays.contents(found, label, drop, layout)
        return columns.chosen(parquet.read(path) if ending == ".parquet" else tables.read(path, header), label, drop)
    except (OSError, ValueError) as error:
        cure = "dataset=text reads lines of text, as strings" if path.suffix.lower() in TEXT else None
        raise Mistake(f"`dataset.path` must be a readable file, but {path} is not: {error}", cure) from error


def _x(x: NDArray[Any], layout: str | None, background: str, kind: str | None) -> pictures.Found:
    """Returns pictures with their channels first, grey levels from 0 to 1 and without transparency."""
    is_mat = layout == "examples_last" and x.ndim == 4
    x, moved = pictures.channels_first(x, "channels_last" if is_mat else None if layout == "examples_last" else layout)
    said = []
    if pictures.are_levels(x, kind):
        x, said = x / pictures.BYTE, ["0 to 255 as grey levels k / 255"]
    if said or (x.min() >= 0 and x.max() <= 1 and pictures.are_whole(x * pictures.BYTE)):
        x, laid = pictures.without_alpha(x, background)
        said += laid
    return x, [*moved, *said]


def _event(x: NDArray[Any], kind: str | None) -> Event:
    shape, numbers = tuple(x.shape[1:]), torch.from_numpy(x)
    suiting = [each for each in KINDS if inside(numbers, Event(shape, each))]
    if kind not in (None, *suiting):
        raise Mistake(f"`dataset.kind` must be {' or '.join(suiting)} for these numbers, but is {kind}")
    return Event(shape, kind or suiting[0])


def _counts(x: NDArray[Any], seen: Event) -> list[str]:
    """Returns what to say of counts that could be grey levels."""
    may_be_grey = seen.kind == "counts" and LIGHT <= x.max() <= pictures.BYTE
    return ["dataset.kind=unit takes them as grey levels from 0 to 255"] if may_be_grey else []


def _stored(x: NDArray[Any], seen: Event) -> Tensor:
    """Returns x as uint8 if binary, as float32 if grey levels, else as float64, exact until it is transformed."""
    dtype = {"binary": np.uint8, "unit": np.float32}.get(seen.kind, np.float64)
    return torch.from_numpy(np.ascontiguousarray(x, dtype=dtype))


def _labels(contents: Contents, label: Label, kind: str | None) -> Labels | None:
    """Returns the labels; those that nobody named may be no classes."""
    if contents.label is None:
        if kind is not None:
            raise Mistake(f"`dataset.label_kind` must be null without labels, but is {kind}", "dataset.label=NAME")
        return None
    is_named = label != AUTO or kind is not None
    try:
        return label_kinds.of(contents.label, contents.place, kind, 2 if is_named else 1)
    except Mistake:
        if is_named or contents.label.ndim > 1:
            raise
        return label_kinds.none(contents.label)


def _rows(contents: Contents) -> tuple[Sequence[Tensor], str]:
    """Returns the rows of train, valid and test, and how they were found."""
    rows = len(contents.x)
    if contents.split is None:
        return places(rows), "split at random, the same for every run"
    names = [split_named(name) or name for name in contents.split.tolist()]
    found = {split: torch.tensor([row for row, name in enumerate(names) if name == split]) for split in SPLITS}
    train, valid, test = map(len, found.values())
    if train + valid + test < rows or not test or train < (1 if valid else 2):
        counts = ", ".join(f"{count} {name}" for name, count in Counter(names).items())
        raise Mistake(
            f"`dataset.path` must hold a split of {rows} names, train, valid or test, each at least once, "
            f"but its split holds {counts}",
            "valid alone may be lacking: it is cut from train; of a table, dataset.drop=[split] leaves the column out",
        )
    if valid:
        return list(found.values()), "split as in the file"
    return [*without_valid(found["train"]), found["test"]], "split as in the file, valid cut from its train"
