"""The tables on which flows are compared, on small files in the formats that they are published in."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from dgmrun.data.splits import Splits
from dgmrun.datasets import bsds300, gas, hepmass, miniboone, power
from dgmrun.errors import Mistake
from dgmrun.paths import options
from dgmrun.rng import seeded

RANDOM = np.random.RandomState(0)
SIZES = [81, 9, 10]


def placed(folder: Path, name: str) -> Path:
    """The path of a file in a folder that is made for it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def of_power(folder: Path, x: NDArray[np.float64] | None = None) -> None:
    np.save(placed(folder, "power/data.npy"), RANDOM.rand(100, 8) * 100 if x is None else x)


def of_miniboone(folder: Path, rows: int = 100) -> None:
    """With the header that Python 2 writes on some systems."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}L, 43L), }}"
    header += " " * (-(len(header) + 11) % 16) + "\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    placed(folder, "miniboone/data.npy").write_bytes(start + RANDOM.randn(rows, 43).tobytes())


def of_gas(folder: Path) -> None:
    """Of 16 sensors, the first 8 are like the last 8."""
    true = RANDOM.randn(400, 8)
    readings = np.hstack((true + 0.01 * RANDOM.randn(400, 8), true))
    rows = np.hstack((np.arange(400)[:, None] / 100, RANDOM.rand(400, 2), readings))
    heading = "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)"
    np.savetxt(placed(folder, "gas/ethylene_CO.txt"), rows, "%.6f", header=heading, comments="")


def of_hepmass(folder: Path) -> None:
    """Six features have few values; another has few, but its smallest only once, and is kept by the published rule."""
    for name, rows, excess in (("train", 180, 0), ("test", 20, 1)):
        x = RANDOM.randn(rows, 27 + excess)
        x[:, :7] = RANDOM.randint(0, 3, (rows, 7))
        x[1, 6] = -1
        rows_of_all = np.hstack((np.arange(rows)[:, None] % 2, x))
        heading = ",".join(["# label", *(f"f{feature}" for feature in range(27))])
        path = placed(folder, f"hepmass/1000_{name}.csv")
        np.savetxt(path, rows_of_all, "%.18e", delimiter=",", header=heading, comments="")


def of_bsds300(folder: Path) -> None:
    with h5py.File(placed(folder, "BSDS300/BSDS300.hdf5"), "w") as file:
        for name, size in zip(("train", "validation", "test"), SIZES, strict=True):
            file[name] = RANDOM.randn(size, 63)


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "power": ("power/data.npy", of_power),
    "gas": ("gas/ethylene_CO.txt", of_gas),
    "hepmass": ("hepmass/1000_train.csv", of_hepmass),
    "miniboone": ("miniboone/data.npy", of_miniboone),
    "bsds300": ("BSDS300/BSDS300.hdf5", of_bsds300),
}


def module(name: str) -> ModuleType:
    return import_module(f"dgmrun.datasets.{name}")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    RANDOM.seed(0)
    for name in FILES:
        monkeypatch.setattr(module(name), "SIZES", SIZES)


def every(splits: Splits) -> NDArray[np.float64]:
    assert all(split.x.dtype == torch.float32 for split in splits.values())
    assert [len(split.x) for split in splits.values()] == SIZES
    return torch.cat([split.x for split in splits.values()]).double().numpy()


def test_power_is_shuffled_and_blurred_by_the_seed_of_its_authors(tmp_path: Path) -> None:
    of_power(tmp_path)
    random = np.random.RandomState(42)
    rows = np.load(tmp_path / "power" / "data.npy")
    random.shuffle(rows)
    rows[:, 2] += 0.01 * random.rand(100)
    rows[:, 0] += 0.001 * random.rand(100)
    rows[:, 4:7] += random.rand(100, 3)
    kept = np.delete(rows, [1, 3], 1)
    expected = (kept - kept[:90].mean(0)) / kept[:90].std(0)
    assert np.allclose(every(power.load(tmp_path)), expected, rtol=0, atol=1e-6)


def test_gas_is_a_quarter_of_the_rows_and_keeps_the_later_of_sensors_that_are_alike(tmp_path: Path) -> None:
    of_gas(tmp_path)
    readings = np.loadtxt(tmp_path / "gas" / "ethylene_CO.txt", skiprows=1, usecols=range(11, 19))
    with seeded(0, "split"):
        quarter = readings[torch.randperm(400)[:100].numpy()]
    assert np.allclose(every(gas.load(tmp_path)), (quarter - quarter.mean(0)) / quarter.std(0), rtol=0, atol=1e-5)


def test_hepmass_is_of_signals_and_of_features_whose_smallest_value_is_rare(tmp_path: Path) -> None:
    of_hepmass(tmp_path)
    learnt, test = (
        np.loadtxt(tmp_path / f"hepmass/1000_{name}.csv", delimiter=",", skiprows=1)[1::2] for name in ("train", "test")
    )
    rows = np.concatenate((learnt[:, 7:28], test[:, 7:28]))
    expected = (rows - rows[:90].mean(0)) / rows[:90].std(0)
    assert np.allclose(every(hepmass.load(tmp_path)), expected, rtol=0, atol=1e-5)


def test_miniboone_is_standardised_over_train_and_valid(tmp_path: Path) -> None:
    of_miniboone(tmp_path)
    x = every(miniboone.load(tmp_path))
    assert np.allclose(x[:90].mean(0), 0, atol=1e-6)
    assert np.allclose(x[:90].std(0), 1, atol=1e-6)


def test_bsds300_is_as_in_its_file(tmp_path: Path) -> None:
    of_bsds300(tmp_path)
    x = every(bsds300.load(tmp_path))
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5") as file:
        assert np.allclose(x, np.concatenate([file[name][()] for name in ("train", "validation", "test")]), atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_the_yaml_says_what_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event is that of the small files; its sizes are the published ones, of which a tenth is held out, twice."""
    text = options("dataset")[name].read_text()
    FILES[name][1](tmp_path)
    assert list(module(name).load(tmp_path)["test"].x.shape[1:]) == yaml.safe_load(text)["event"]["shape"]
    monkeypatch.undo()
    sizes = [int(size.replace(",", "")) for size in re.search(r"([\d,]+)/([\d,]+)/([\d,]+) examples", text).groups()]
    assert sizes == module(name).SIZES
    if name != "bsds300":
        assert sizes[1] == sum(sizes[:2]) // 10
    if name not in ("bsds300", "hepmass"):
        assert sizes[2] == sum(sizes) // 10


def refusal(name: str, folder: Path) -> str:
    """The one line, and below it the cure."""
    with pytest.raises(Mistake) as caught:
        module(name).load(folder)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return f"{caught.value}\n{caught.value.hint}"


@pytest.mark.parametrize("name", FILES)
def test_without_its_file_there_is_a_line_and_how_to_place_it(name: str, tmp_path: Path) -> None:
    line, cure = refusal(name, tmp_path).splitlines()
    assert line == f"`data_dir` must hold {FILES[name][0]} as published, but {tmp_path} does not"
    assert str(tmp_path) in cure
    assert "https://" in cure


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_or_empty_is_refused(name: str, tmp_path: Path) -> None:
    file, write = FILES[name]
    write(tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert f"`data_dir` must hold {file} as published, but {path} cannot be read: " in refusal(name, tmp_path)
    path.write_bytes(b"")
    assert f"`data_dir` must hold {file} as published, but {path} " in refusal(name, tmp_path)


def test_fewer_rows_are_refused(tmp_path: Path) -> None:
    of_miniboone(tmp_path, 99)
    assert "data.npy has [99, 43] of float64 to use and not [100, 43] of real numbers" in refusal("miniboone", tmp_path)
    of_hepmass(tmp_path)
    path = tmp_path / "hepmass" / "1000_test.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]))
    assert "1000_test.csv has [9, 27] of float32 to use and not [10, 27]" in refusal("hepmass", tmp_path)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.ones((100, 7)), "has [100, 7] of float64 to use and not [100, 8] of real numbers"),
        (np.ones(100), "has [100] of float64 to use"),
        (np.ones((100, 8), int), "has [100, 8] of int64 to use"),
        (np.where(np.eye(100, 8) == 1, np.nan, 0)[::-1], "lacks a finite number in row 92 (from 0)"),
        (np.array([[{}] * 8] * 100), "cannot be read: Object arrays cannot be loaded when allow_pickle=False"),
    ],
)
def test_other_arrays_are_refused(x: NDArray[np.float64], found: str, tmp_path: Path) -> None:
    of_power(tmp_path, x)
    assert f"but {tmp_path}/power/data.npy {found}" in refusal("power", tmp_path)


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    with placed(tmp_path, "power/data.npy").open("wb") as file:
        np.savez(file, x=np.ones((100, 8)))
    assert "power/data.npy cannot be read: " in refusal("power", tmp_path)


@pytest.mark.parametrize("last", ["", " ?", " nan"])
def test_text_of_other_columns_or_without_a_number_is_refused(last: str, tmp_path: Path) -> None:
    of_gas(tmp_path)
    path = tmp_path / "gas" / "ethylene_CO.txt"
    heading, *lines = path.read_text().splitlines()
    path.write_text("\n".join([heading, *(line.rsplit(maxsplit=1)[0] + last for line in lines)]))
    assert f"`data_dir` must hold gas/ethylene_CO.txt as published, but {path} " in refusal("gas", tmp_path)


def test_bsds300_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_bsds300(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert refusal("bsds300", tmp_path).endswith("h5py must be installed to read it, but is not\npip install h5py")
