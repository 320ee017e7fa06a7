"""One table or one set of pictures in every kind of file, and what a file of arrays may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from scipy.io import savemat

from dgmrun.data.pictures import opaque
from dgmrun.datasets import file

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 3)), np.arange(30) % 3
TABLE = [[*map(repr, row), str(label)] for row, label in zip(X.tolist(), Y, strict=True)]
PICTURES = RNG.integers(0, 256, (30, 8, 9, 3), dtype=np.uint8)


def lines(mark: str) -> str:
    return "".join(mark.join(row) + "\n" for row in [["a", "b", "c", "label"], *TABLE])


def write(path: Path) -> dict[str, Any]:
    """Writes the table and its labels; returns the settings by which labels are found where nothing names them."""
    ending = path.suffix
    if ending in (".csv", ".tsv", ".txt"):
        path.write_text(lines({".csv": ",", ".tsv": "\t", ".txt": " "}[ending]))
    elif ending == ".npy":
        np.save(path, np.column_stack([X, Y]))
        return {"label": 3}
    elif ending == ".npz":
        np.savez(path, x=X, y=Y)
    elif ending == ".mat":
        savemat(path, {"X": X, "y": Y[:, None]})
    else:
        parquet.write_table(pyarrow.table({**dict(zip("abc", X.T, strict=True)), "label": Y}), path)
    return {}


@pytest.mark.parametrize("ending", [ending for ending in file.ENDINGS if ending != ".csv"])
def test_a_table_is_the_same_in_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    """To the bit, and so is every figure made of it."""
    one, other = tmp_path / "a.csv", tmp_path / f"b{ending}"
    settings = write(one), write(other)
    (first, kind), (second, other_kind) = (
        (file.load(Path(), str(path), **each), file.labels(str(path), **each))
        for path, each in zip((one, other), settings, strict=True)
    )
    assert kind == other_kind
    for split, rows in first.items():
        assert rows.x.dtype == second[split].x.dtype
        assert torch.equal(rows.x, second[split].x)
        assert rows.y is not None
        assert second[split].y is not None
        assert torch.equal(rows.y, second[split].y)


def test_version_7_3_of_mat_is_read_with_its_axes_as_matlab_has_them(tmp_path: Path) -> None:
    x = np.moveaxis(PICTURES, 0, -1)
    savemat(tmp_path / "old.mat", {"X": x, "y": Y[:, None] + 1})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as opened:
        opened["X"], opened["y"] = x.T, (Y[:, None] + 1.0).T
    old, new = (file.load(Path(), str(tmp_path / name)) for name in ("old.mat", "new.mat"))
    for split, rows in old.items():
        assert torch.equal(rows.x, new[split].x)
        assert torch.equal(rows.y, new[split].y)


@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (PICTURES, {}),
        (np.moveaxis(PICTURES, -1, 1), {}),
        (np.moveaxis(PICTURES, 0, -1), {}),
        (np.moveaxis(PICTURES, 0, -1)[..., :4], {"layout": "examples_last"}),
        (np.moveaxis(PICTURES, 0, -1).astype(float), {}),
        (np.concatenate([PICTURES, np.full((30, 8, 9, 1), 255, np.uint8)], -1), {}),
        (PICTURES / 255, {}),
    ],
)
def test_pictures_are_the_same_in_every_order(x: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    """[N, h, w, c], [N, c, h, w], [h, w, c, N], with an opaque fourth channel, as bytes, whole numbers or fractions."""
    np.savez(tmp_path / "a.npz", X=x)
    splits = file.load(Path(), str(tmp_path / "a.npz"), background="white", **settings)
    count = x.shape[-1] if settings else 30
    found = torch.cat([split.x for split in splits.values()])
    expected = torch.from_numpy(np.moveaxis(PICTURES, -1, 1)[:count] / 255).float()
    assert sorted(found.sum((1, 2, 3)).tolist()) == pytest.approx(sorted(expected.sum((1, 2, 3)).tolist()))
    assert file.transform(str(tmp_path / "a.npz"), background="white", **settings) == "dequantise"


@pytest.mark.parametrize("shape", [(30, 8, 9), (30, 1, 8, 9), (30, 8, 9, 1)])
def test_grey_pictures_have_one_channel_or_none(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", PICTURES[..., 0].reshape(shape))
    seen = file.event(str(tmp_path / "a.npy"))
    assert (seen.kind, seen.shape) == ("unit", (8, 9) if len(shape) == 3 else (1, 8, 9))


def test_a_fourth_channel_is_opacity_on_the_background(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (3, 8, 9, 4), dtype=np.uint8)
    np.save(tmp_path / "a.npy", x)
    path = str(tmp_path / "a.npy")
    splits = file.load(Path(), path, background="#ff8000")
    laid = [np.asarray(opaque(Image.fromarray(each), "#ff8000").convert("RGB")) for each in x]
    found = [(255 * split.x[0]).round().byte().permute(1, 2, 0).numpy().tolist() for split in splits.values()]
    assert sorted(found) == sorted(each.tolist() for each in laid)
    assert file.event(path, background="none").shape == (4, 8, 9)


def test_a_table_of_bytes_is_counts_as_any_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x = RNG.integers(0, 256, (30, 4))
    for dtype in (np.uint8, np.int64, np.float32):
        np.save(tmp_path / "a.npy", x.astype(dtype))
        path = str(tmp_path / "a.npy")
        assert (file.event(path).kind, file.event(path, kind="unit").kind) == ("counts", "unit")
    with caplog.at_level("INFO", logger="dgmrun"):
        file.load(Path(), path)
    assert "counts, dataset.kind=unit takes them as grey levels from 0 to 255" in caplog.text


@pytest.mark.parametrize(
    "y",
    [
        Y.astype(float),
        Y[:, None],
        np.eye(3)[Y],
        np.array(["ant", "bee", "cow"])[Y],
        np.array([b"ant", b"bee", b"cow"])[Y],
        Y + 1,
    ],
)
def test_labels_may_be_written_in_several_ways(y: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, Target=y)
    splits = file.load(Path(), str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", x=X, y=Y)
    for split, rows in file.load(Path(), str(tmp_path / "b.npz")).items():
        assert torch.equal(splits[split].y, rows.y)


@pytest.mark.parametrize("name", ["{part}_{split}", "{part}{split}", "{split}_{part}", "{split}_{long}"])
def test_arrays_of_splits_are_joined(name: str, tmp_path: Path) -> None:
    parts = {"train": slice(20), "test": slice(20, 30)}
    long = {"x": "images", "y": "labels"}
    arrays = {
        name.format(part=part, split=split, long=long[part]): whole[rows]
        for part, whole in (("x", X), ("y", Y))
        for split, rows in parts.items()
    }
    np.savez(tmp_path / "a.npz", **arrays)
    splits = file.load(Path(), str(tmp_path / "a.npz"))
    assert [len(split.x) for split in splits.values()] == [18, 2, 10]
    assert torch.equal(splits["test"].x, torch.from_numpy(X[20:]))
    assert splits["test"].y.tolist() == Y[20:].tolist()
    assert file.labels(str(tmp_path / "a.npz"), label=None) is None
    train = torch.cat([splits["train"].x, splits["valid"].x])
    assert torch.equal(train.sort(0).values, torch.from_numpy(X[:20]).sort(0).values)
