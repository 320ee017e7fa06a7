"""Your own images: `dataset=images dataset.path=FOLDER dataset.size=[h,w]`.

Reads every image file in the folder and its subfolders, except hidden ones. If it has folders for train, valid and test
at any depth, in any usual spelling (Training, val2017, 3_test, cat/dev, ...), these are the splits, and valid is cut
from train if it alone is lacking; otherwise a permutation of the images in the order of their names, the same for every
run, is cut into 80 % train and 10 % each of valid and test.
Images of another size are resized, keeping their aspect ratio, and centre-cropped. Transparent ones are laid on a
background. What is understood of a folder is logged in one line.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dgmrun.data.folders import parts
from dgmrun.data.pictures import check_colour, opaque
from dgmrun.data.splits import Split, Splits
from dgmrun.errors import Mistake
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Event
from dgmrun.run.files import visible

log = logging.getLogger("dgmrun")
MODES = {1: "L", 3: "RGB"}
"""Pillow's modes, by number of channels."""
DEEP = "save it with 8, or all pixels as x [N, h, w] by numpy.save, which dataset=file reads"


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
    files, how = parts(folder, _files(folder), "pictures")
    splits = {split: Split(_read(its, shape, background)) for split, its in files.items()}
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


def _files(folder: Path) -> list[Path]:
    """Lists the image files in a folder and its subfolders, sorted by name."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return [file for file in visible(folder) if file.suffix.lower() in endings]


def _read(files: Sequence[Path], shape: tuple[int, ...], background: str) -> Tensor:
    return torch.stack([_picture(file, shape, background) for file in tracked(files)]) / 255


def _picture(file: Path, shape: tuple[int, ...], background: str) -> Tensor:
    """Reads one image, uint8 of `shape`."""
    channels, height, width = shape
    must = "`dataset.path` must hold pictures that can be read"
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise Mistake(f"{must}, but {file} is not: its pixels are {opened.mode}, not of 8 bits", DEEP)
            upright = opaque(ImageOps.exif_transpose(opened), background).convert(MODES[channels])
            picture = ImageOps.fit(upright, (width, height))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        cure = f"mv {shlex.quote(str(file))} ELSEWHERE, or a copy of it that is whole"
        raise Mistake(f"{must}, but {file} is not: {error}", cure) from error
    return torch.from_numpy(np.array(picture)).reshape(height, width, channels).permute(2, 0, 1)
