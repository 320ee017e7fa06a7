"""MATLAB files, .mat: plain arrays alone, so that nothing in them is executed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

HDF5, BLOCKS = b"\x89HDF\r\n\x1a\n", (0, 512)
"""How a file of version 7.3 begins, at one of these bytes."""
PLAIN = "biufcSU"
"""Kinds of plain entries: numbers and text."""


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of numbers and of text, by name.

    Raises:
        ValueError: the file is damaged, has no such arrays, or is of version 7.3 where h5py is not installed.
    """
    with path.open("rb") as stream:
        start = stream.read(max(BLOCKS) + len(HDF5))
    is_hdf5 = any(start[block:].startswith(HDF5) for block in BLOCKS)
    try:
        found = _of_hdf5(path) if is_hdf5 else _of_old(path)
    except ImportError:
        cure = "save(FILE, '-v7') in MATLAB writes one that is read without, pip install h5py reads it"
        raise ValueError(f"it is of version 7.3: {cure}") from None
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(str(error) or type(error).__name__) from error
    plain = {name: array for name, array in found.items() if array.dtype.kind in PLAIN}
    if not plain:
        raise ValueError("it has no plain arrays, only structures, cells or objects")
    return plain


def _of_old(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat
    from scipy.sparse import issparse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = loadmat(path)
    named = {name: array for name, array in loaded.items() if not name.startswith("__")}
    return {name: array.toarray() if issparse(array) else array for name, array in named.items()}


def _of_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    """Reads arrays within the file, whose axes HDF5 keeps in reverse."""
    import h5py

    with h5py.File(path, "r") as file:
        own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        sets = {name: file[name] for name in own if isinstance(file[name], h5py.Dataset)}
        inside = {name: each for name, each in sets.items() if not (each.external or each.is_virtual)}
        is_text = {name: each.attrs.get("MATLAB_class") == b"char" for name, each in inside.items()}
        return {name: each[()].T for name, each in inside.items() if each.shape and not is_text[name]}
