"""Files that cannot be read: each is refused in a line that names the row, the column or the key."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from dgmrun.data.prepare import prepare
from dgmrun.datasets import file
from dgmrun.errors import Mistake

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Write = Callable[[Path], Any]


def text(content: str) -> Write:
    return lambda path: path.write_text(content)


def content(begin: bytes) -> Write:
    return lambda path: path.write_bytes(begin + bytes(900))


def npz(**arrays: Any) -> Write:
    return lambda path: np.savez(path, **arrays)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as opened:
        opened["x"] = X


BAD: dict[str, tuple[str, Write, dict[str, Any], str]] = {
    "ragged": ("a.csv", text("1,2\n3,4\n5\n6,7\n"), {}, "line 3 must have 2 entries as the first has, but has 1"),
    "text": ("a.csv", text("a,b\n1,2\n3,x\n5,6\n"), {}, "must have a number at line 3 in column b, but has 'x'"),
    "missing": ("a.csv", text("a,b\n1,2\n3,N/A\n5,6\n"), {}, "must have a value at line 3 in column b, but has none"),
    "all missing": (
        "a.csv",
        text("a,b,c\n1,,2\n3,,4\n5,,6\n"),
        {},
        "have numbers in column b, but has none there",
    ),
    "one of a class": (
        *("a.csv", text("a,b\n1,u\n2,u\n3,v\n"), {"label": "b"}),
        "`dataset.label` must have at least 2 examples of each class, but has one of v",
    ),
    "negative class": (
        *("a.csv", text("a,b\n1,0\n2,-2\n3,0\n4,-2\n"), {"label": "b"}),
        "`dataset.label` must have a class at line 3, a word or a whole number from 0, but has -2",
    ),
    "no such label": (
        *("a.csv", text("a,b\n1,2\n3,4\n5,6\n"), {"label": "c"}),
        "`dataset.label` must be columns of the table: a, b, or a number from 0 to 1, but is c",
    ),
    "no such column": (
        *("a.npy", lambda path: np.save(path, X), {"drop": [3]}),
        "`dataset.drop` must be columns of the table: the number of one, from 0 to 2, but is 3",
    ),
    "empty": ("a.csv", text(""), {}, "a.csv is not: it has no rows"),
    "heading only": ("a.csv", text("a,b\n"), {}, "a.csv is not: it has a heading and no rows"),
    "two rows": ("a.csv", text("1,2\n3,4\n"), {}, "must hold at least 3 examples, but .* has 2"),
    "one name twice": ("a.csv", text("a,a\n1,2\n3,4\n5,6\n"), {}, "different names, but has several called a"),
    "unknown ending": ("a.xlsx", content(b"PK"), {}, "`dataset.path` must end in .csv, .*, but is .*a.xlsx"),
    "corrupt npz": ("a.npz", content(b"PK\x03\x04"), {}, "must be a readable file, but .*a.npz is not: "),
    "text as npy": ("a.npy", text("1,2\n3,4\n"), {}, "a.npy is not: it does not begin as a file of numpy does"),
    "corrupt mat": ("a.mat", content(b"MATLAB 5.0"), {}, "must be a readable file, but .*a.mat is not: "),
    "corrupt HDF5": ("a.mat", content(b"\x89HDF\r\n\x1a\n"), {}, "must be a readable file, but .*a.mat is not: "),
    "structures": ("a.mat", lambda path: savemat(path, {"x": {"a": 1}}), {}, "only structures, cells or objects"),
    "corrupt parquet": ("a.parquet", content(b"PAR1"), {}, "must be a readable file, but .*a.parquet is not: "),
    "complex": ("a.npz", npz(x=X + 1j), {}, r"must hold numbers x \[N, ...\] .*, but x is complex128 \[20, 3\]"),
    "objects": ("a.npz", npz(x=np.array([{}, {}, {}])), {}, "a.npz is not: it has more than arrays of numbers"),
    "infinite": (
        *("a.npz", npz(x=np.where(X[4, 1] == X, np.inf, X)), {}),
        r"must have a finite number at row 4 \(from 0\) in column 1 \(from 0\), but has inf",
    ),
    "labels of others": ("a.npz", npz(x=X, y=np.zeros(19)), {}, r"y .* or \[20, K\], or no y, but y is float64 \[19\]"),
    "no channels": (
        *("a.npz", npz(x=RNG.normal(size=(20, 8, 9, 2))), {}),
        r"`dataset.layout` must be .* where no axis has 1, 3 or 4 channels, but is null and x is \[20, 8, 9, 2\]",
    ),
    "labels of columns": ("a.npz", npz(x=X, y=np.zeros(3)), {}, r"y .* or \[20, K\], or no y, but y is float64 \[3\]"),
    "no such split": (
        *("a.csv", text("a,split\n1,train\n2,train\n3,test\n4,tset\n"), {}),
        "must hold a split of 4 names, .*, but its split holds 2 train, 1 test, 1 tset",
    ),
    "folder": ("a.csv", Path.mkdir, {}, "`dataset.path` must be a file, but .*a.csv is a folder"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_in_a_line_that_says_where(fault: str, tmp_path: Path) -> None:
    name, write, settings, line = BAD[fault]
    write(tmp_path / name)
    with pytest.raises(Mistake, match=line) as caught:
        file.load(Path(), str(tmp_path / name), **settings)
    assert "\n" not in str(caught.value)


def test_version_7_3_of_mat_says_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hdf5(tmp_path / "a.mat")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(Mistake, match=r"is of version 7.3: save\(FILE, '-v7'\) .*, pip install h5py reads it"):
        file.event(str(tmp_path / "a.mat"))


def test_version_7_3_of_mat_is_never_followed_to_another_file(tmp_path: Path) -> None:
    hdf5(tmp_path / "secret.mat")
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as opened:
        opened["x"] = h5py.ExternalLink("secret.mat", "x")
        opened.create_dataset("raw", (20, 3), "f8", external=[(str(tmp_path / "secret.mat"), 0, 480)])
        layout = h5py.VirtualLayout((20, 3), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.mat"), "x", (20, 3))
        opened.create_virtual_dataset("virtual", layout)
    with pytest.raises(Mistake, match="it has no plain arrays"):
        file.event(str(tmp_path / "a.mat"))


def test_parquet_says_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Mistake, match="must be another kind of file where pyarrow is not installed") as caught:
        file.event(str(tmp_path / "a.parquet"))
    assert caught.value.hint == "pip install pyarrow"


def test_a_constant_column_is_not_standardised(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{each},0.5\n" for each in X[:, 0]))
    with pytest.raises(Mistake, match=r"`dataset.transform` must not be standardise .* column 1 \(from 0\) is"):
        prepare(
            file.load(Path(), str(path)),
            event=file.event(str(path)),
            labels=None,
            binarisation="none",
            transform="standardise",
            pixel_order=None,
        )
