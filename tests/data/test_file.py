"""The user's own files, well formed and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dgmrun.data import heading
from dgmrun.data.check import check
from dgmrun.data.splits import SPLITS, Splits
from dgmrun.datasets.file import doubts, event, labels, load
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

TABLE = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
HOLED = np.where(np.arange(20)[:, None] == 4, np.nan, TABLE)


def npz(folder: Path, **arrays: object) -> str:
    np.savez(folder / "data.npz", **arrays)
    return str(folder / "data.npz")


def csv(folder: Path, text: str) -> str:
    (folder / "data.csv").write_text(text)
    return str(folder / "data.csv")


def rows(splits: Splits) -> Tensor:
    return torch.cat([splits[name].x for name in SPLITS])


def test_npz_with_splits_and_labels(tmp_path: Path) -> None:
    names = np.array(["Train"] * 12 + ["testing"] * 5 + ["val"] * 3)
    splits = load(Path(), npz(tmp_path, x=TABLE, y=np.arange(20, dtype=np.uint8), split=names))
    assert torch.equal(splits["train"].x, torch.from_numpy(TABLE[:12]).double())
    assert splits["test"].y.tolist() == [12, 13, 14, 15, 16]
    assert splits["valid"].y.dtype is torch.int64


@pytest.mark.parametrize(("y", "classes"), [([0, 2, 1], 3), ([-1, 0, 1], None), ([0, 1, 10**9], None)])
def test_labels_are_classes_if_they_number_them(y: list[int], classes: int | None, tmp_path: Path) -> None:
    found = labels(npz(tmp_path, x=TABLE[:3], y=np.array(y)))
    assert (None if found is None else found.size) == classes


def test_npy_is_cut_80_10_10_the_same_every_time(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", TABLE)
    path = str(tmp_path / "data.npy")
    first, again = load(Path(), path), load(Path(), path)
    assert [len(split.x) for split in first.values()] == [16, 2, 2]
    assert torch.equal(rows(first), rows(again))
    assert not torch.equal(rows(first), torch.from_numpy(TABLE).double())
    assert torch.equal(rows(first).sort(dim=0).values, torch.from_numpy(TABLE).double().sort(dim=0).values)
    check(first, event(path))


def text(rows: np.ndarray[Any, Any], separator: str = ",", decimal: str = ".") -> str:
    return "".join(separator.join(repr(entry).replace(".", decimal) for entry in row) + "\n" for row in rows.tolist())


def indexed(rows: np.ndarray[Any, Any]) -> str:
    return "".join(f"{place},{line}\n" for place, line in enumerate(text(rows).splitlines()))


WHOLE = np.random.default_rng(1).integers(-9, 9, (20, 5)).astype(float)


@pytest.mark.parametrize(
    ("name", "content", "table"),
    [
        ("data.csv", text(TABLE), TABLE),
        ("data.CSV", "a,b,c\n" + text(TABLE), TABLE),
        ("data.csv", "\ufeff" + text(TABLE), TABLE),
        ("data.csv", "0,1,2\n" + text(TABLE), TABLE),
        ("data.csv", "1990,1991,1992\n" + text(TABLE), TABLE),
        ("data.csv", '"0","1","2"\n' + text(TABLE), TABLE),
        ("data.csv", "# a,b,c\n" + text(TABLE), TABLE),
        ("data.csv", ",a,b,c\n" + indexed(TABLE), TABLE),
        ("data.csv", ",0,1,2\n" + indexed(TABLE), TABLE),
        (
            "data.csv",
            ",a,b,c\n" + "".join(f"{k * 7 % 20},{line}\n" for k, line in enumerate(text(TABLE).splitlines())),
            TABLE,
        ),
        ("data.csv", "id,a,b,c\n" + indexed(TABLE), TABLE),
        ("data.csv", "# by hand\n# a,b,c\n" + text(TABLE), TABLE),
        ("data.csv", "sep=;\na;b;c\n" + text(TABLE, ";"), TABLE),
        ("data.csv", '"length; mm","b","c, d"\n' + text(TABLE), TABLE),
        ("data.csv", "größe,b,c\n" + text(TABLE), TABLE),
        ("data.csv", "a;b;c\n" + text(TABLE, ";"), TABLE),
        ("data.csv", text(TABLE, ";", ","), TABLE),
        ("data.tsv", "a\tb\tc\n" + text(TABLE, "\t"), TABLE),
        ("data.csv", "a|b|c\n" + text(TABLE, "|"), TABLE),
        ("data.txt", text(TABLE, "  "), TABLE),
        ("data.csv", "0,1,2,3,4\n" + text(WHOLE), WHOLE),
        ("data.csv", "0,1,2\n" + text(WHOLE[:, :3]), np.vstack([[0, 1, 2], WHOLE[:, :3]])),
        ("data.csv", "0,1\n" + text(WHOLE[:, :2]), np.vstack([[0, 1], WHOLE[:, :2]])),
    ],
)
def test_text_is_the_numbers_that_it_holds(
    name: str, content: str, table: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    """Whatever wrote it: headings of words or of numbers, an index, separators, and decimal commas."""
    np.save(tmp_path / "data.npy", table.astype(np.float64))
    for encoding in ("utf-8", "utf-16", "cp1252") if "ö" in content else ("utf-8",):
        (tmp_path / name).write_text(content, encoding=encoding)
        assert torch.equal(rows(load(Path(), str(tmp_path / name))), rows(load(Path(), str(tmp_path / "data.npy"))))


YEARS = np.random.default_rng(2).random((20, 4))
NARROW = np.random.default_rng(3).integers(0, 10_000, (20, 3)).astype(float)


def grouped(rows: np.ndarray[Any, Any]) -> str:
    return "".join(",".join(f'"{entry:,.0f}"' for entry in row) + "\n" for row in rows.tolist())


def r_frame(rows: np.ndarray[Any, Any]) -> str:
    lines = (f'"row {place}" {line}' for place, line in enumerate(text(rows, " ").splitlines()))
    return "\n".join(['"a" "b" "c"', *lines])


@pytest.mark.parametrize(
    ("content", "table"),
    [
        (grouped(NARROW), NARROW),
        ("a,b,c\n" + grouped(NARROW), NARROW),
        ("2000,2005,2010,2015\n" + text(YEARS), YEARS),
        ("2003,2002,2001,2000\n" + text(YEARS), YEARS),
        ("400.0,400.5,401.0,401.5\n" + text(YEARS), YEARS),
        ("1990,2003,2010,2012\n" + text(YEARS), YEARS),
        (r_frame(TABLE.astype(float)), TABLE.astype(float)),
        ("a,b,c\n" + text(TABLE).replace("\n", ",\n"), TABLE),
        ("a,b,c,\n" + text(TABLE).replace("\n", ",\n"), TABLE),
        ('"a\nof b",b,c\n' + text(TABLE), TABLE),
        ("a,b,c\n" + text(TABLE) + ",,\n,,\n", TABLE),
        ("a,b,c\n" + text(WHOLE[:, :3] > 0), WHOLE[:, :3] > 0),
        ("a,b,c\n" + text(WHOLE[:, :3] > 0).upper(), WHOLE[:, :3] > 0),
    ],
)
def test_more_text_is_the_numbers_that_it_holds(content: str, table: np.ndarray[Any, Any], tmp_path: Path) -> None:
    """Thousands, years and wavelengths as headings, what R and spreadsheets write, and True and False."""
    np.save(tmp_path / "data.npy", table.astype(np.float64))
    given, expected = (rows(load(Path(), path)) for path in (csv(tmp_path, content), str(tmp_path / "data.npy")))
    assert torch.equal(given, expected)


@pytest.mark.parametrize("content", ['"0,5","1,5"\n"2,5","3,5"\n"4,5","5,5"\n', "1_000,2\n3,4\n5,6\n"])
def test_what_may_be_another_number_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="must have a number at line 1 in column 0"):
        event(csv(tmp_path, content))


def test_a_first_line_unlike_all_others_is_doubted(tmp_path: Path) -> None:
    path = csv(tmp_path, "2019\n" + text(YEARS[:, :1]))
    assert event(path).shape == (1,)
    assert doubts(path) == ["the first line is unlike all others: dataset.header=true takes it as a heading"]
    assert doubts(path, header=True) == doubts(csv(tmp_path, text(YEARS))) == []


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_a_first_example_is_taken_for_a_heading_hardly_ever(columns: int) -> None:
    """Of numbers with one decimal, where whole ones are many, as numpy and pandas write them: of 2000 tables."""
    x = np.random.default_rng(0).normal(size=(2000, 30, columns)).round(1)
    assert not any(heading.is_one([*map(repr, each[0].tolist())], each) for each in x)


def test_a_hundred_thousand_columns_are_read(tmp_path: Path) -> None:
    content = ",".join(f"c{column}" for column in range(100_000)) + "\n" + (",".join("10" * 50_000) + "\n") * 3
    assert event(csv(tmp_path, content)) == Event((100_000,), "binary")


@pytest.mark.parametrize("names", ["x y split", "X labels SPLITS", "x target Split"])
def test_arrays_have_several_names(names: str, tmp_path: Path) -> None:
    split = np.array(["train"] * 12 + ["val"] * 5 + ["test "] * 3)
    named = dict(zip(names.split(), (TABLE, np.arange(20), split), strict=True))
    splits = load(Path(), npz(tmp_path, **named))
    assert [len(split.x) for split in splits.values()] == [12, 5, 3]
    assert splits["valid"].y.tolist() == [12, 13, 14, 15, 16]
    assert torch.equal(rows(load(Path(), npz(tmp_path, anything=TABLE))).sum(), torch.from_numpy(TABLE).double().sum())


@pytest.mark.parametrize("kind", [None, "unit", "binary"])
def test_bytes_of_two_levels_are_bits(kind: str | None, tmp_path: Path) -> None:
    path = npz(tmp_path, x=np.array([[0, 255], [255, 255], [0, 0]], dtype=np.uint8))
    assert event(path, kind=kind).kind == (kind or "binary")


def test_what_is_recognised_can_be_settled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = csv(tmp_path, "0,1,2\n" + text(TABLE))
    with caplog.at_level("INFO", logger="dgmrun"):
        assert len(rows(load(Path(), path))) == 20
        assert len(rows(load(Path(), path, header=False))) == 21
    assert [line.rpartition(": ")[2] for line in caplog.messages] == [
        f"{rows}x3, real, separated by commas, {heading}, split at random, the same for every run"
        for rows, heading in ((20, "heading left out"), (21, "no heading"))
    ]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("a,b\n1,2\n3,?\n5,6\n", "line 3 in column b, but has none"),
        ("1,2,<0.01\n1,2,3\n4,5,6\n", r"line 1 in column 2 \(from 0\), but has '<0.01'"),
        ("1.5;2,000;3\n1.5;2;3\n4;5;6\n", r"line 1 in column 1 \(from 0\), but has '2,000'"),
        ("a,b\n\n1,2\n\n3,x\n", "line 5 in column b, but has 'x'"),
    ],
)
def test_what_is_no_number_is_named_by_line_and_column(content: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=where):
        event(csv(tmp_path, content))


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((8, 9, 3), None, (3, 8, 9)),
        ((8, 9, 4), None, (4, 8, 9)),
        ((8, 9, 1), None, (1, 8, 9)),
        ((3, 8, 9), None, (3, 8, 9)),
        ((8, 9, 3), "channels_first", (8, 9, 3)),
        ((8, 9, 2), "channels_first", (8, 9, 2)),
        ((8, 9, 2), "channels_last", (2, 8, 9)),
        ((9, 3), None, (9, 3)),
    ],
)
def test_channels_behind_are_moved_to_the_front(
    shape: tuple[int, ...], layout: str | None, expected: tuple[int, ...], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(20, *shape))
    path = npz(tmp_path, x=x)
    assert event(path, layout=layout).shape == expected
    moved = torch.from_numpy(x if shape == expected else np.moveaxis(x, -1, 1))
    torch.testing.assert_close(rows(load(Path(), path, layout=layout)).sum(0), moved.sum(0))


@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (TABLE, {"kind": "word"}, "`dataset.kind` must be binary, unit, counts, real or null"),
        (TABLE, {"kind": "counts"}, "`dataset.kind` must be real for these numbers, but is counts"),
        (TABLE, {"header": "no"}, "`dataset.header` must be true, false or null, but is no"),
        (
            TABLE,
            {"layout": ["channels_last"]},
            "`dataset.layout` must be channels_first, channels_last, examples_last or null",
        ),
        (TABLE, {"layout": "nhwc"}, "`dataset.layout` must be channels_first, channels_last, examples_last or null"),
        (TABLE, {"layout": "channels_last"}, r"`dataset.layout` must be null but for x \[N, h, w, c\]"),
    ],
)
def test_settings_that_do_not_suit_the_numbers(
    x: np.ndarray[Any, Any], settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Mistake, match=message):
        event(npz(tmp_path, x=x), **settings)


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.array([[0, 1], [1, 1], [0, 0]], dtype=bool), "binary"),
        (np.array([[0.0, 1], [1, 1], [0, 0]]), "binary"),
        (np.array([[0, 0.5], [1, 1], [0, 0]], dtype=">f4"), "unit"),
        (np.array([[0, 255], [1, 1], [0, 0]], dtype=np.uint8), "counts"),
        (np.array([0, 9, 7] * 16, dtype=np.uint8).reshape(3, 4, 4), "unit"),
        (np.array([[0, 255], [1, 1], [0, 0]]), "counts"),
        (np.array([0, 255, 7] * 16).reshape(3, 4, 4), "unit"),
        (np.array([40, 199, 7] * 16).reshape(3, 4, 4), "counts"),
        (np.array([[0, -1], [1, 1], [0, 0]]), "real"),
        (TABLE.reshape(20, 1, 3), "real"),
    ],
)
def test_event_is_the_shape_of_a_row_and_the_narrowest_kind(x: np.ndarray[Any, Any], kind: str, tmp_path: Path) -> None:
    path = npz(tmp_path, x=x)
    assert event(path) == Event(x.shape[1:], kind)
    stored = load(Path(), path)["train"].x.dtype
    assert stored is {"binary": torch.uint8, "unit": torch.float32}.get(kind, torch.float64)
    assert event(path, kind="real") == Event(x.shape[1:], "real")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"`dataset.path` must be a file, but there is no"):
        event(str(tmp_path / "data.npz"))


def test_another_kind_of_file() -> None:
    with pytest.raises(
        Mistake, match=r"`dataset.path` must end in .csv, .tsv, .txt, .parquet, .npz, .npy, .mat, but is data.xls"
    ):
        event("data.xls")


@pytest.mark.parametrize("name", ["data.npz", "data.npy"])
@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00"])
def test_an_unreadable_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Mistake, match=r"`dataset.path` must be a readable file"):
        event(str(tmp_path / name))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="more than arrays of numbers"):
        event(npz(tmp_path, x=np.array([{}, {}, {}], dtype=object)))


@pytest.mark.parametrize(
    "text", ["", "\n", "a,b\n", "1,2\n3\n4,5\n", "1,2\n3,four\n5,6\n", "1,2\n3,\n5,6\n", "1,2\n3,4 \n5,6,\n"]
)
def test_a_ragged_or_wordy_csv(text: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"`dataset.path` must (be a readable file|have a (number|value) at line 2 )"):
        event(csv(tmp_path, text))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"first": TABLE, "z": TABLE}, "must hold an array x, but holds first, z"),
        ({"x": TABLE[:2]}, r"with N at least 3, but x is float32 \[2, 3\]"),
        ({"x": TABLE[:, 0]}, r"but x is float32 \[20\]"),
        ({"x": TABLE[:, :0]}, r"but x is float32 \[20, 0\]"),
        ({"x": TABLE.astype(str)}, "but x is str"),
        ({"x": HOLED}, r"a value at row 4 \(from 0\) in column 0 \(from 0\), but has none"),
    ],
)
def test_wrong_examples(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=message):
        event(npz(tmp_path, **arrays))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.arange(19)}, r"labels y \[20\] or \[20, K\], or no y, but y is int64 \[19\]"),
        ({"y": np.ones((20, 2, 2))}, r"but y is float64 \[20, 2, 2\]"),
        ({"split": np.array(["train"] * 18 + ["valid", "tset"])}, "holds 18 train, 1 valid, 1 tset"),
        ({"split": np.array(["train"] * 18 + ["valid"] * 2)}, "each at least once, .* 18 train, 2 valid"),
        ({"split": np.array(["train", "valid", "test"])}, "a split of 20 names"),
        ({"split": np.array(["train"] + ["test"] * 19)}, "holds 1 train, 19 test"),
        ({"split": np.zeros(20)}, "holds 20 0.0"),
    ],
)
def test_wrong_labels_and_splits(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=message):
        load(Path(), npz(tmp_path, x=TABLE, **arrays))


def test_three_rows_are_enough(tmp_path: Path) -> None:
    assert [len(split.x) for split in load(Path(), npz(tmp_path, x=TABLE[:3])).values()] == [1, 1, 1]
