"""Your own images: `dataset=images dataset.path=FOLDER dataset.size=[h,w]`.

Reads every image file in the folder and its subfolders. If the folder has subfolders train, valid and test, these are
the splits; otherwise a permutation of the images in the order of their names, the same for every run, is cut into 80 %
train and 10 % each of valid and test. Images of another size are resized, keeping their aspect ratio, and
centre-cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dgmrun.data.splits import SPLITS, Split, Splits, places
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

MODES = {1: "L", 3: "RGB"}
"""Pillow's modes, by number of channels."""


def load(data_dir: Path, path: str, size: Sequence[int], channels: int) -> Splits:
    """Loads x [N, channels, height, width], grey levels / 255.

    Args:
        data_dir: unused.
        path: path of the folder.
        size: height and width to which images are resized, in pixels.
        channels: 3 for colour, 1 for grey.

    Raises:
        Mistake: a setting is invalid, an image cannot be read, or there are too few.
    """
    shape, folder = event(path, size, channels).shape, Path(path).expanduser()
    parts = {split: _files(folder / split) for split in SPLITS}
    if all(parts.values()):
        return {split: Split(_read(files, shape)) for split, files in parts.items()}
    if any(parts.values()):
        lacking = " and ".join(split for split, files in parts.items() if not files)
        raise Mistake(f"`dataset.path` must have pictures in {', '.join(SPLITS)}, but {folder} has none in {lacking}")
    if len(files := _files(folder)) < len(SPLITS):
        raise Mistake(f"`dataset.path` must be a folder of at least 3 pictures, but {folder} has {len(files)}")
    x = _read(files, shape)
    return {split: Split(x[rows]) for split, rows in zip(SPLITS, places(len(x)), strict=True)}


def event(path: str, size: Sequence[int], channels: int) -> Event:
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
    return Event((channels, *size), "unit")


def _files(folder: Path) -> list[Path]:
    """Lists the image files in a folder and its subfolders, sorted by name."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings and file.is_file())


def _read(files: Sequence[Path], shape: tuple[int, ...]) -> Tensor:
    return torch.stack([_picture(file, shape) for file in files]) / 255


def _picture(file: Path, shape: tuple[int, ...]) -> Tensor:
    """Reads one image, uint8 of `shape`."""
    channels, height, width = shape
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise ValueError(f"its pixels are {opened.mode}, not of 8 bits")
            upright = ImageOps.exif_transpose(opened).convert(MODES[channels])
            picture = ImageOps.fit(upright, (width, height))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Mistake(f"`dataset.path` must hold pictures that can be read, but {file} is not: {error}") from error
    return torch.from_numpy(np.array(picture)).reshape(height, width, channels).permute(2, 0, 1)
