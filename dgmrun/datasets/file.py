"""Your own table or images, in one file: `dataset=file dataset.path=F`.

- `.npz`: x [N, ...], or the only array; optional y or labels [N], integers, which are classes if all are from 0 to
  9999; optional split [N], train, valid or test, in any usual spelling, for each row.
- `.npy`: x.
- `.csv`, `.tsv`, `.txt`: x, one row per line, as described in dgmrun/data/tables.py.

Without `split`, a permutation of the rows, the same for every run, is cut into 80 % train and 10 % each of valid and
test. Images may be [N, h, w], [N, c, h, w] or [N, h, w, c]: axes of 1, 3 or 4 channels behind two larger ones are moved
to the front. Bytes, images of whole numbers from 0 to 255, and multiples of 1 / 255 are grey levels k / 255. Any other
whole numbers are counts. What is understood of a file is logged in one line.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data import tables
from dgmrun.data.check import inside
from dgmrun.data.splits import SPLITS, Split, Splits, places, split_named
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.run import untrusted

log = logging.getLogger("dgmrun")
Arrays = dict[str, NDArray[Any]]
TEXT, BINARY = (".csv", ".tsv", ".txt"), (".npz", ".npy")
MOST_CLASSES = 10_000
"""A model has parameters for each class from 0 to the largest: numbers above are identifiers, not classes."""
NAMES = {**dict.fromkeys(("label", "labels", "target", "targets"), "y"), "splits": "split"}
"""Other usual names of arrays."""
BYTE, SMALLEST_PICTURE = 255, 4
KINDS, LAYOUTS = ("binary", "unit", "counts", "real"), ("channels_first", "channels_last")
CHANNELS = (1, 3, 4)


class Read(NamedTuple):
    """Contents of a file: examples x, their event, further arrays, and what was understood."""

    x: Tensor
    event: Event
    arrays: Arrays
    understood: list[str]


def load(
    data_dir: Path, path: str, header: bool | None = None, layout: str | None = None, kind: str | None = None
) -> Splits:
    """Loads x, and y and split if present, from the file.

    Args:
        data_dir: unused.
        path: path of the file.
        header: whether the first line of a text file is a heading; None to recognise it.
        layout: `channels_first` or `channels_last`, of images; None to recognise it.
        kind: kind of x, `binary`, `unit`, `counts` or `real`; None for the first that suits it.

    Raises:
        Mistake: the file cannot be read, or its arrays are not as described above.
    """
    read = _read(path, header=header, layout=layout, kind=kind)
    y, shape = _labels(read.arrays), "x".join(map(str, read.x.shape))
    how = "split as in the file" if "split" in read.arrays else "split at random, the same for every run"
    log.info("data        %s: %s, %s", path, shape, ", ".join([read.event.kind, *read.understood, how]))
    cut = zip(SPLITS, _places(read.arrays), strict=True)
    return {split: Split(read.x[rows], None if y is None else y[rows]) for split, rows in cut}


def event(path: str, **reading: Any) -> Event:
    """Returns the event of x: the shape of a row, and its kind."""
    return _read(path, **reading).event


def labels(path: str, **reading: Any) -> Event | None:
    """Returns the event of y: classes 0 to the largest; None if there is no y, or one that numbers no class."""
    y = _labels(_read(path, **reading).arrays)
    is_class = y is not None and y.min() >= 0 and y.max() < MOST_CLASSES
    return Event((), "categorical", int(y.max()) + 1) if y is not None and is_class else None


def transform(path: str, **reading: Any) -> str:
    """Returns the transform by which grey levels and counts have a density, with noise within each; else `none`."""
    read = _read(path, **reading)
    if read.event.kind == "unit" and _are_whole(read.x * BYTE):
        return "dequantise"
    return "jitter" if read.event.kind == "counts" else "none"


def _read(name: str, **reading: Any) -> Read:
    path = Path(name).expanduser()
    if path.suffix.lower() not in (*TEXT, *BINARY):
        raise Mistake(f"`dataset.path` must end in {', '.join((*TEXT, *BINARY))}, but is {path}")
    if not path.is_file():
        raise Mistake(f"`dataset.path` must be a file, but there is no {path}")
    if reading.get("header") not in (None, True, False):
        raise Mistake(f"`dataset.header` must be true, false or null, but is {reading['header']}")
    for key, words in (("layout", LAYOUTS), ("kind", KINDS)):
        if reading.get(key) not in (None, *words):
            raise Mistake(f"`dataset.{key}` must be {', '.join(words)} or null, but is {reading[key]}")
    return _understood(path, path.stat().st_mtime_ns, **reading)


@lru_cache(maxsize=1)
def _understood(
    path: Path, changed: int, header: bool | None = None, layout: str | None = None, kind: str | None = None
) -> Read:
    """Reads a file; the last one is kept, as event, labels and examples are asked for one after another."""
    arrays, understood = _arrays(path, header)
    x, moved = _channels_first(_checked(arrays["x"]), layout)
    x, scaled = (x / BYTE, ["0 to 255 as grey levels k / 255"]) if _are_bytes(x, kind) else (x, [])
    seen = _event(x, kind)
    return Read(_stored(x, seen), seen, arrays, [*understood, *moved, *scaled])


def _arrays(path: Path, header: bool | None) -> tuple[Arrays, list[str]]:
    """Returns the arrays of a file, and what was understood of a table."""
    try:
        if path.suffix.lower() in TEXT:
            table = tables.read(path, header)
            return {"x": table.x}, table.understood
        return _named(untrusted.arrays(path, packing=math.inf))
    except (OSError, ValueError) as error:
        raise Mistake(f"`dataset.path` must be a readable file, but {path} is not: {error}") from error


def _named(arrays: Arrays) -> tuple[Arrays, list[str]]:
    """Returns the arrays of an archive under the names x, y and split, and which are left out."""
    names = {name: NAMES.get(name.lower(), name.lower()) for name in arrays}
    if len(arrays) == 1 and next(iter(arrays)).isidentifier():
        names = dict.fromkeys(arrays, "x")
    found = {names[name]: array for name, array in arrays.items() if names[name] in ("x", "y", "split")}
    if "x" not in found:
        told = f"`dataset.path` must hold an array x, but holds {', '.join(arrays) or 'nothing'}"
        raise Mistake(told, "numpy.savez(FILE, x=..., y=..., split=...) writes one")
    unused = [name for name in arrays if names[name] not in found]
    return found, [f"{', '.join(unused)} left out"] if unused else []


def _checked(x: NDArray[Any]) -> NDArray[Any]:
    """Returns x as float64, or as uint8 if it is bytes."""
    if x.dtype.kind not in "biuf" or x.ndim < 2 or len(x) < 3 or x.size == 0:
        raise Mistake(
            f"`dataset.path` must hold numbers x [N, ...] with N at least 3, but x is {x.dtype.name} {list(x.shape)}",
            "x.reshape(-1, 1) is a table of one column" if x.ndim == 1 else None,
        )
    finite = np.isfinite(x.reshape(len(x), -1)).all(1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise Mistake(f"`dataset.path` must hold finite numbers x, but row {row} (from 0) has another value")
    return x if x.dtype == np.uint8 else x.astype(np.float64)


def _are_bytes(x: NDArray[Any], kind: str | None) -> bool:
    """Returns whether x [N, ...] are grey levels from 0 to 255: bytes, images that reach both ends, or `kind=unit`."""
    if kind not in (None, "unit", "binary") or x.max() <= 1 or x.min() < 0 or x.max() > BYTE or not _are_whole(x):
        return False
    is_picture = x.ndim > 2 and min(x.shape[-2:]) >= SMALLEST_PICTURE and (x.min(), x.max()) == (0, BYTE)
    return x.dtype == np.uint8 or kind == "unit" or is_picture


def _are_whole(x: Any) -> bool:
    """Returns whether all are whole numbers, up to rounding."""
    return bool((abs(x - x.round()) < 1e-3).all())


def _channels_first(x: NDArray[Any], layout: str | None) -> tuple[NDArray[Any], list[str]]:
    """Moves the last axis of images to the front if it has channels."""
    if layout == "channels_last" and x.ndim != len(("N", "h", "w", "c")):
        raise Mistake(f"`dataset.layout` must be null but for x [N, h, w, c], but x is {list(x.shape)}")
    is_last = x.ndim == 4 and x.shape[-1] in CHANNELS and min(x.shape[1:3]) > x.shape[-1]
    if layout == "channels_first" or not (is_last or layout == "channels_last"):
        return x, []
    return np.moveaxis(x, -1, 1), [f"the last axis as {x.shape[-1]} channels{', with alpha' * (x.shape[-1] == 4)}"]


def _event(x: NDArray[Any], kind: str | None) -> Event:
    shape, numbers = tuple(x.shape[1:]), torch.from_numpy(x)
    suiting = [each for each in KINDS if inside(numbers, Event(shape, each))]
    if kind not in (None, *suiting):
        raise Mistake(f"`dataset.kind` must be {' or '.join(suiting)} for these numbers, but is {kind}")
    return Event(shape, kind or suiting[0])


def _stored(x: NDArray[Any], seen: Event) -> Tensor:
    """Returns x as uint8 if binary, as float32 if grey levels, else as float64, exact until it is transformed."""
    dtype = {"binary": np.uint8, "unit": np.float32}.get(seen.kind, np.float64)
    return torch.from_numpy(np.ascontiguousarray(x, dtype=dtype))


def _labels(arrays: Arrays) -> Tensor | None:
    if "y" not in arrays:
        return None
    y, rows = arrays["y"], len(arrays["x"])
    if y.dtype.kind not in "biu" or y.shape != (rows,):
        kind = f"{y.dtype.name} {list(y.shape)}"
        raise Mistake(f"`dataset.path` must hold integers y [{rows}] or no y, but y is {kind}")
    return torch.from_numpy(y.astype(np.int64))


def _places(arrays: Arrays) -> Sequence[Tensor]:
    """Returns the rows of train, valid and test."""
    rows = len(arrays["x"])
    if "split" not in arrays:
        return places(rows)
    names = [split_named(name) or name for name in arrays["split"].astype(str).ravel().tolist()]
    found = [torch.tensor([row for row, name in enumerate(names) if name == split]) for split in SPLITS]
    if arrays["split"].shape != (rows,) or sum(map(len, found)) < rows or not all(map(len, found)):
        counts = ", ".join(f"{count} {name}" for name, count in Counter(names).items())
        raise Mistake(
            f"`dataset.path` must hold a split of {rows} names, train, valid or test, each at least once, "
            f"but its split holds {counts}"
        )
    return found
