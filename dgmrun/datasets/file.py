"""Your own table or images, in one file: `dataset=file dataset.path=F`.

- `.npz`: x [N, ...]; optional y [N], integer labels, which are classes if all are from 0 to 9999; optional split [N],
  train, valid or test for each row.
- `.npy`: x.
- `.csv`: x, comma-separated numbers, one row per line, with or without a header line.

Without `split`, a permutation of the rows, the same for every run, is cut into 80 % train and 10 % each of valid and
test. Values are taken as they are: integers up to 255 are counts; divide them by 255 to make them grey levels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data.check import inside
from dgmrun.data.splits import SPLITS, Split, Splits, places
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.run import untrusted

Arrays = dict[str, NDArray[Any]]
MOST_CLASSES = 10_000
"""A model has parameters for each class from 0 to the largest: numbers above are identifiers, not classes."""


def load(data_dir: Path, path: str) -> Splits:
    """Loads x, and y and split if present, from the file.

    Args:
        data_dir: unused.
        path: path of the file.

    Raises:
        Mistake: the file cannot be read, or its arrays are not as described above.
    """
    arrays = _read(path)
    x, y = _examples(arrays), _labels(arrays)
    x = x.to(torch.uint8) if inside(x, Event(tuple(x.shape[1:]), "binary")) else x
    cut = zip(SPLITS, _places(arrays), strict=True)
    return {split: Split(x[rows], None if y is None else y[rows]) for split, rows in cut}


def event(path: str) -> Event:
    """Returns the event of x: the shape of a row, and the first suitable kind of binary, unit, counts and real."""
    x = _examples(_read(path))
    each = (Event(tuple(x.shape[1:]), kind) for kind in ("binary", "unit", "counts", "real"))
    return next(event for event in each if inside(x, event))


def labels(path: str) -> Event | None:
    """Returns the event of y: classes 0 to the largest; None if there is no y, or one that numbers no class."""
    y = _labels(_read(path))
    is_class = y is not None and y.min() >= 0 and y.max() < MOST_CLASSES
    return Event((), "categorical", int(y.max()) + 1) if y is not None and is_class else None


def _read(name: str) -> Arrays:
    path = Path(name).expanduser()
    if path.suffix not in (".npz", ".npy", ".csv"):
        raise Mistake(f"`dataset.path` must end in .npz, .npy or .csv, but is {path}")
    if not path.is_file():
        raise Mistake(f"`dataset.path` must be a file, but there is no {path}")
    try:
        arrays = _read_csv(path) if path.suffix == ".csv" else untrusted.arrays(path)
    except (OSError, ValueError) as error:
        raise Mistake(f"`dataset.path` must be a readable file, but {path} is not: {error}") from error
    if "x" not in arrays:
        raise Mistake(f"`dataset.path` must hold an array x, but holds {', '.join(arrays) or 'nothing'}")
    return arrays


def _read_csv(path: Path) -> Arrays:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    rows = lines[_is_heading(lines[0]) :] if lines else []
    if not rows:
        raise ValueError("it has no rows")
    return {"x": np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)}


def _is_heading(line: str) -> bool:
    """Returns whether the line has no number."""
    return not any(_is_number(entry) for entry in line.split(","))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _examples(arrays: Arrays) -> Tensor:
    """Returns x as float32 [N, ...]."""
    x = arrays["x"]
    if x.dtype.kind not in "biuf" or x.ndim < 2 or len(x) < 3 or x.size == 0:
        raise Mistake(
            f"`dataset.path` must hold numbers x [N, ...] with N at least 3, but x is {x.dtype.name} {list(x.shape)}"
        )
    with np.errstate(over="ignore"):
        examples = torch.from_numpy(x.astype(np.float32))
    finite = examples.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        row = int(finite.logical_not().nonzero()[0])
        raise Mistake(f"`dataset.path` must hold finite numbers x, but row {row} (from 0) has another value")
    return examples


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
    names = arrays["split"].astype(str)
    found = [torch.from_numpy(np.flatnonzero(names == split)) for split in SPLITS]
    if names.shape != (rows,) or sum(map(len, found)) < rows or not all(map(len, found)):
        counts = ", ".join(f"{count} {name}" for name, count in Counter(names.ravel().tolist()).items())
        raise Mistake(
            f"`dataset.path` must hold a split of {rows} names, train, valid or test, each at least once, "
            f"but its split holds {counts}"
        )
    return found
