"""Published tables of numbers whose checksums nobody publishes: the user places them, their shapes are checked.

They are those on which flows are compared, as prepared by Papamakarios, Pavlakou and Murray 2017, Masked autoregressive
flow for density estimation (https://arxiv.org/abs/1705.07057, supplementary material D;
https://github.com/gpapamak/maf/tree/master/datasets; files at https://zenodo.org/records/1161203).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dgmrun.data.files import find
from dgmrun.data.splits import Splits, cut
from dgmrun.errors import Mistake

Numbers = NDArray[np.floating[Any]]
ARCHIVE = (
    "mkdir -p {data_dir} && curl -L https://zenodo.org/records/1161203/files/data.tar.gz"
    " | tar xz -C {data_dir} --strip-components=1 data/{folder}"
)
"""The command that places a file of the authors' archive."""


@dataclass(frozen=True)
class Placed:
    """A table in `data_dir`.

    Args:
        data_dir: folder of all datasets.
        name: path of the file in `data_dir`.
        cure: how to place it there.
    """

    data_dir: Path
    name: str
    cure: str = ARCHIVE

    def read(self, read: Callable[[Path], Numbers], rows: int, columns: int) -> Numbers:
        """Returns what `read` makes of it, [rows, columns].

        Raises:
            Mistake: there is no such file, it cannot be read, or these are not as many, or not all numbers.
        """
        path = find(self.data_dir, (self.name,))
        if path is None:
            raise self._mistake(f"{self.data_dir} does not")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of empty files, refused below, and of those that Python 2 wrote
                x = read(path)
        except ImportError as error:
            must = f"`data_dir` must hold {self.name} and {error.name} must be installed to read it, but is not"
            raise Mistake(must, f"pip install {error.name}") from None
        except Exception as error:  # a damaged file can fail in any way
            raise self._mistake(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        if x.shape != (rows, columns) or x.dtype.kind != "f":
            wanted = f"[{rows}, {columns}] of real numbers"
            raise self._mistake(f"{path} has {list(x.shape)} of {x.dtype} to use and not {wanted}")
        holes = np.flatnonzero(~np.isfinite(x).all(1))
        if len(holes):
            raise self._mistake(f"{path} lacks a finite number in row {holes[0]} (from 0)")
        return x

    def _mistake(self, found: str) -> Mistake:
        cure = self.cure.format(data_dir=quote(str(self.data_dir)), folder=Path(self.name).parent)
        return Mistake(f"`data_dir` must hold {self.name} as published, but {found}", cure)


def array(path: Path) -> Numbers:
    """Reads a .npy file."""
    with path.open("rb") as file:
        x: Numbers = np.lib.format.read_array(file, allow_pickle=False)
    return x


def standardised(x: Numbers, rows: int) -> Numbers:
    """Returns x minus the mean, divided by the standard deviation, of each column over the first `rows` rows."""
    fitted = x[:rows]
    z: Numbers = (x - fitted.mean(0, dtype=np.float64)) / fitted.std(0, dtype=np.float64)
    return z


def splits(x: Numbers, sizes: list[int]) -> Splits:
    """Cuts rows into splits, float32."""
    return cut(torch.from_numpy(x.astype(np.float32, copy=False)), None, sizes)
