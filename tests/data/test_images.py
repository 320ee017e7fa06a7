"""The user's own folder of pictures, well formed and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dgmrun.data.check import check
from dgmrun.datasets.images import event, load
from dgmrun.errors import Mistake

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 4, 6, 3), dtype=np.uint8)
SETTINGS: dict[str, Any] = {"size": [4, 6], "channels": 3}


def folder(place: Path, rows: slice = slice(20), endings: tuple[str, ...] = ("png",)) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for number, colours in enumerate(COLOURS[rows]):
        Image.fromarray(colours).save(place / f"{number:02}.{endings[number % len(endings)]}")
    return place


def test_all_pictures_at_any_depth_are_cut_80_10_10(tmp_path: Path) -> None:
    folder(tmp_path / "a", slice(12))
    folder(tmp_path / "b" / "c", slice(12, 20), ("bmp", "PNG"))
    (tmp_path / "notes.txt").write_text("no picture")
    splits = load(Path(), str(tmp_path), **SETTINGS)
    assert [len(split.x) for split in splits.values()] == [16, 2, 2]
    found = torch.cat([split.x for split in splits.values()]).flatten(1)
    given = torch.tensor(COLOURS).permute(0, 3, 1, 2).flatten(1) / 255
    assert sorted(found.tolist()) == sorted(given.tolist())
    check(splits, event(str(tmp_path), **SETTINGS))


def test_folders_that_are_named_after_splits_are_these(tmp_path: Path) -> None:
    for name, rows in {"train": slice(12), "valid": slice(12, 13), "test": slice(13, 20)}.items():
        folder(tmp_path / name, rows)
    splits = load(Path(), str(tmp_path), **SETTINGS)
    assert torch.equal(splits["test"].x, torch.tensor(COLOURS[13:]).permute(0, 3, 1, 2) / 255)
    assert [len(split.x) for split in splits.values()] == [12, 1, 7]


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints/a.png", "__MACOSX/b.png", "train/.c.png", ".d.png"])
def test_hidden_files_change_no_split(hidden: str, tmp_path: Path) -> None:
    before = load(Path(), str(folder(tmp_path)), **SETTINGS)
    (tmp_path / hidden).parent.mkdir(exist_ok=True)
    Image.fromarray(COLOURS[0]).save(tmp_path / hidden)
    after = load(Path(), str(tmp_path), **SETTINGS)
    assert all(torch.equal(before[split].x, after[split].x) for split in before)


@pytest.mark.parametrize(
    "names", [("Train", "Valid", "Test"), ("training", "dev", "testing"), ("TRAIN", "val", "test")]
)
def test_splits_have_several_spellings(names: tuple[str, ...], tmp_path: Path) -> None:
    for name, rows in zip(names, (slice(12), slice(12, 13), slice(13, 20)), strict=True):
        folder(tmp_path / name, rows)
    assert [len(split.x) for split in load(Path(), str(tmp_path), **SETTINGS).values()] == [12, 1, 7]
    folder(tmp_path / "validation", slice(1))
    with pytest.raises(Mistake, match="must have one folder for valid"):
        load(Path(), str(tmp_path), **SETTINGS)


@pytest.mark.parametrize(
    "names",
    [
        ("cat/train", "cat/val", "cat/test"),
        ("train2017", "val2017", "test2017"),
        ("1_train", "2_val", "3_test"),
        ("data/train/cat", "data/valid/cat", "data/test/cat"),
        ("train_images", "validation set", "Test-Images"),
    ],
)
def test_folders_of_splits_are_found_at_any_depth_and_by_usual_names(names: tuple[str, ...], tmp_path: Path) -> None:
    for name, rows in zip(names, (slice(12), slice(12, 13), slice(13, 20)), strict=True):
        folder(tmp_path / name, rows)
    folder(tmp_path / "train_masks", slice(2))
    splits = load(Path(), str(tmp_path), **SETTINGS)
    assert [len(split.x) for split in splits.values()] == [12, 1, 7]
    assert torch.equal(splits["test"].x, torch.tensor(COLOURS[13:]).permute(0, 3, 1, 2) / 255)


def test_valid_is_cut_from_train_where_it_alone_is_lacking(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path / "train", slice(12))
    folder(tmp_path / "test", slice(12, 20))
    with caplog.at_level("INFO", logger="dgmrun"):
        splits = load(Path(), str(tmp_path), **SETTINGS)
    assert "11 train, 1 valid, 8 test; split by its folders, valid cut from that of train" in caplog.text
    found = torch.cat([splits["train"].x, splits["valid"].x]).flatten(1)
    assert sorted(found.tolist()) == sorted((torch.tensor(COLOURS[:12]).permute(0, 3, 1, 2) / 255).flatten(1).tolist())


def transparent(mode: str) -> Image.Image:
    """Black or arbitrary colours, all of them invisible."""
    image = Image.new("RGBA", (6, 4), (10, 20, 30, 0))
    if mode == "P":
        paletted = Image.new("P", (6, 4), 1)
        paletted.putpalette([1, 2, 3, 4, 5, 6])
        paletted.info["transparency"] = 1
        return paletted
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("background", "seen"), [("white", [1, 1, 1]), ("#ff0000", [1, 0, 0])])
def test_what_is_transparent_shows_the_background(
    mode: str, background: str, seen: list[float], tmp_path: Path
) -> None:
    for number in range(3):
        transparent(mode).save(tmp_path / f"{number}.png")
    splits = load(Path(), str(tmp_path), **SETTINGS, background=background)
    assert splits["train"].x.mean((0, 2, 3)).tolist() == seen


def test_colour_becomes_grey_and_another_size(tmp_path: Path) -> None:
    for number, level in enumerate((0, 100, 200)):
        Image.new("RGB", (40, 20), (level,) * 3).save(tmp_path / f"{number}.png")
    splits = load(Path(), str(tmp_path), size=[8, 8], channels=1)
    assert splits["train"].x.shape == (1, 1, 8, 8)
    levels = torch.cat([split.x for split in splits.values()]).flatten(1)
    assert sorted(255 * level.unique().item() for level in levels) == pytest.approx([0, 100, 200])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"background": "wite"}, "`dataset.background` must be a colour, such as white or #ffffff, but is wite"),
        ({"path": "nowhere"}, "`dataset.path` must be a folder, but there is no folder nowhere"),
        ({"size": [4]}, r"`dataset.size` must be \[height,width\] in pixels, but is \[4\]"),
        ({"size": [4, 0]}, r"`dataset.size` must be \[height,width\] in pixels, but is \[4, 0\]"),
        ({"channels": 2}, "`dataset.channels` must be 3 for colour or 1 for grey, but is 2"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=message):
        event(**({"path": str(tmp_path)} | SETTINGS | changes))


@pytest.mark.parametrize("rows", [slice(0), slice(2)])
def test_too_few_pictures(rows: slice, tmp_path: Path) -> None:
    folder(tmp_path, rows)
    with pytest.raises(
        Mistake, match=rf"`dataset.path` must be a folder of at least 3 pictures, but .* has {rows.stop}"
    ):
        load(Path(), str(tmp_path), **SETTINGS)


def test_splits_without_pictures(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    with pytest.raises(Mistake, match=r"must have pictures in train, valid, test, but .* has none in valid and test"):
        load(Path(), str(tmp_path), **SETTINGS)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n and no more", b"BM"])
def test_a_picture_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    (folder(tmp_path) / "21.png").write_bytes(content)
    with pytest.raises(
        Mistake, match=r"`dataset.path` must hold pictures that can be read, but .*21.png is not: "
    ) as caught:
        load(Path(), str(tmp_path), **SETTINGS)
    assert caught.value.hint == f"mv {tmp_path}/21.png ELSEWHERE, or a copy of it that is whole"


def test_pixels_of_more_than_8_bits_are_refused_not_clipped(tmp_path: Path) -> None:
    folder(tmp_path)
    Image.fromarray(np.full((4, 6), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(Mistake, match=r"deep\.png is not: its pixels are I;16, not of 8 bits"):
        load(Path(), str(tmp_path), **SETTINGS)
