"""Your own images: `dataset=images dataset.path=FOLDER dataset.size=[h,w]`.

Reads every image file in the folder and its subfolders, except hidden ones. If the folder has subfolders for train,
valid and test, in any usual spelling (Training, val, dev, ...), these are the splits; otherwise a permutation of the
images in the order of their names, the same for every run, is cut into 80 % train and 10 % each of valid and test.
Images of another size are resized, keeping their aspect ratio, and centre-cropped. Transparent ones are laid on a
background. What is understood of a folder is logged in one line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dgmrun.data.pictures import check_colour, opaque
from dgmrun.data.splits import SPLITS, Split, Splits, places, split_named
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event
from dgmrun.run.files import is_hidden, visible

log = logging.getLogger("dgmrun")
MODES = {1: "L", 3: "RGB"}
"""Pillow's modes, by number of channels."""


def load(data_dir: Path, path: str, size: Sequence[int], channels: int, background: str = "white") -> Splits:
    """Loads x [N, channels, height, width], grey levels / 255.

    Args:
        data_dir: unused.
        path: path of the folder.
        size: height and width to which images are resized, in pixels.
        channels: 3 for colour, 1 for grey.
        background: colour behind transparent images, a name or #rrggbb.

    Raises:
        Mistake: a setting is invalid, an image cannot be read, or there are too few.
    """
    shape, folder = event(path, size, channels, background).shape, Path(path).expanduser()
    parts = _parts(_wrapped(folder))
    if is_cut := any(parts.values()):
        splits = {split: Split(_read(files, shape, background)) for split, files in parts.items()}
    else:
        if len(files := _files(folder)) < len(SPLITS):
            raise Mistake(f"`dataset.path` must be a folder of at least 3 pictures, but {folder} has {len(files)}")
        x = _read(files, shape, background)
        splits = {split: Split(x[rows]) for split, rows in zip(SPLITS, places(len(x)), strict=True)}
    unused = len(_files(folder)) - sum(len(each.x) for each in splits.values())
    how = "split by its folders" if is_cut else "split at random, the same for every run"
    how += f"; {unused} pictures outside of them left out" if unused else ""
    log.info("data        %s: %s; %s", path, ", ".join(f"{len(each.x)} {name}" for name, each in splits.items()), how)
    return splits


def event(path: str, size: Sequence[int], channels: int, background: str = "white") -> Event:
    """Returns the event of an image resized to `size`.

    Raises:
        Mistake: a setting is invalid.
    """
    if not Path(path).expanduser().is_dir():
        raise Mistake(f"`dataset.path` must be a folder, but there is no folder {path}")
    if len(size) != 2 or not all(type(side) is int and side >= 1 for side in size):
        raise Mistake(f"`dataset.size` must be [height,width] in pixels, but is {size}")
    if channels not in MODES:
        raise Mistake(f"`dataset.channels` must be 3 for colour or 1 for grey, but is {channels}")
    check_colour(background)
    return Event((channels, *size), "unit")


def _wrapped(folder: Path) -> Path:
    """Returns the folder within, if it is all that there is and no split."""
    inside = [path for path in folder.iterdir() if not is_hidden(path.name)]
    is_wrapper = len(inside) == 1 and inside[0].is_dir() and split_named(inside[0].name) is None
    return _wrapped(inside[0]) if is_wrapper else folder


def _parts(folder: Path) -> dict[str, list[Path]]:
    """Returns the files of the subfolders named after splits, by split.

    Raises:
        Mistake: two subfolders are named after one split, or some splits have files and others none.
    """
    parts: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        split, files = split_named(sub.name), _files(sub)
        if split is None or not files:
            continue
        if parts[split]:
            raise Mistake(f"`dataset.path` must have one folder for {split}, but {folder} has another, {sub.name}")
        parts[split] = files
    lacking = [split for split, files in parts.items() if not files]
    if lacking and len(lacking) < len(SPLITS):
        must = f"`dataset.path` must have pictures in {', '.join(SPLITS)}"
        raise Mistake(f"{must}, but {folder} has none in {' and '.join(lacking)}")
    return parts


def _files(folder: Path) -> list[Path]:
    """Lists the image files in a folder and its subfolders, sorted by name."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return [file for file in visible(folder) if file.suffix.lower() in endings]


def _read(files: Sequence[Path], shape: tuple[int, ...], background: str) -> Tensor:
    return torch.stack([_picture(file, shape, background) for file in files]) / 255


def _picture(file: Path, shape: tuple[int, ...], background: str) -> Tensor:
    """Reads one image, uint8 of `shape`."""
    channels, height, width = shape
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are {opened.mode}, not of 8 bits")
            upright = opaque(ImageOps.exif_transpose(opened), background).convert(MODES[channels])
            picture = ImageOps.fit(upright, (width, height))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Mistake(f"`dataset.path` must hold pictures that can be read, but {file} is not: {error}") from error
    return torch.from_numpy(np.array(picture)).reshape(height, width, channels).permute(2, 0, 1)
