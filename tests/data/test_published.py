"""Datasets that are not among the real data of the tests, on small ones in the formats that they are published in."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision.datasets import CIFAR10, utils

from dgmrun.data import files
from dgmrun.data.splits import Splits
from dgmrun.datasets import cifar10, fashion_mnist, frey_faces, omniglot_burda
from dgmrun.errors import Mistake

Load = Callable[[Path], Splits]
LEVELS = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(30, dtype=np.uint8) % 10


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(files, "urlopen", refuse)
    monkeypatch.setattr(utils.urllib.request, "urlopen", refuse)


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def test_fashion_mnist_has_the_format_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, rows in {"train": slice(20), "t10k": slice(20, 30)}.items():
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(LEVELS[rows]))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(LABELS[rows]))
    monkeypatch.setattr(fashion_mnist, "HELD_OUT", 6)
    splits = fashion_mnist.load(tmp_path)
    assert [len(split.x) for split in splits.values()] == [14, 6, 10]
    assert torch.equal(torch.cat([split.x for split in splits.values()]), torch.tensor(LEVELS).unsqueeze(1) / 255)
    assert torch.cat([split.y for split in splits.values()]).tolist() == LABELS.tolist()


def test_cifar10_has_its_channels_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    md5 = {}
    batches = [*((f"data_batch_{i + 1}", slice(4 * i, 4 * i + 4)) for i in range(5)), ("test_batch", slice(20, 30))]
    for name, rows in batches:
        batch = {"data": COLOURS[rows].reshape(-1, 3072), "labels": LABELS[rows].tolist()}
        md5[name] = written(folder / name, pickle.dumps(batch))
    names = written(folder / "batches.meta", pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name, _ in batches[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": names})
    monkeypatch.setattr(cifar10, "HELD_OUT", 5)
    splits = cifar10.load(tmp_path)
    assert [len(split.x) for split in splits.values()] == [15, 5, 10]
    assert torch.equal(torch.cat([split.x for split in splits.values()]), torch.tensor(COLOURS) / 255)
    assert torch.cat([split.y for split in splits.values()]).tolist() == LABELS.tolist()


def written(file: Path, content: bytes) -> str:
    """The md5 of what was written."""
    file.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def test_omniglot_burda_is_shuffled_as_its_authors_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ink, unseen = LEVELS[:20] / 255, LEVELS[20:] / 255
    columns = {name: x.transpose(0, 2, 1).reshape(len(x), -1).T for name, x in (("data", ink), ("testdata", unseen))}
    savemat(tmp_path / "chardata.mat", columns)
    monkeypatch.setattr(omniglot_burda, "HELD_OUT", 5)
    with pytest.raises(Mistake, match=r"`data_dir` must hold omniglot/chardata.mat as published"):
        omniglot_burda.load(tmp_path)
    monkeypatch.setattr(omniglot_burda, "BLOB", omniglot_burda._git_blob((tmp_path / "chardata.mat").read_bytes()))
    splits = omniglot_burda.load(tmp_path)
    order = np.random.RandomState(123).permutation(20)
    learnt = torch.tensor(ink[order], dtype=torch.float32).unsqueeze(1)
    assert torch.equal(splits["train"].x, learnt[:-5])
    assert torch.equal(splits["valid"].x, learnt[-5:])
    assert torch.equal(splits["test"].x, torch.tensor(unseen, dtype=torch.float32).unsqueeze(1))


def test_a_git_blob_is_named_as_git_names_it() -> None:
    assert omniglot_burda._git_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_frey_faces_are_the_same_in_any_packing(tmp_path: Path, data_dir: Path) -> None:
    from scipy.io import loadmat

    pixels = loadmat(data_dir / "frey_faces" / "frey_rawface.mat")["ff"]
    savemat(tmp_path / "frey_rawface.mat", {"ff": pixels}, do_compression=True)
    ours, again = frey_faces.load(data_dir), frey_faces.load(tmp_path)
    assert torch.equal(ours["train"].x, again["train"].x)
    savemat(tmp_path / "frey_rawface.mat", {"ff": 255 - pixels})
    with pytest.raises(Mistake, match="has another checksum"):
        frey_faces.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no matrix", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_frey_faces_of_another_format(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "frey_rawface.mat").write_bytes(content)
    with pytest.raises(Mistake, match="has another checksum"):
        frey_faces.load(tmp_path)


@pytest.mark.parametrize("load", [fashion_mnist.load, cifar10.load, omniglot_burda.load, frey_faces.load])
def test_without_file_or_network_it_is_one_line(load: Load, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"^`data_dir` must hold [^\n]*, but [^\n]* does not, and ") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "DGMRUN_DATA" in caught.value.hint
