"""Pictures of tensors: grids of examples, and matrices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

MOST = 100
SMALLEST_SIDE = 600
"""Pixels that a picture is magnified to, at least."""


def render(x: Tensor) -> numpy.ndarray:
    """`grey` of a tensor."""
    return grey(x[:MOST].detach().float().cpu().numpy())


def grey(x: numpy.ndarray, columns: int | None = None) -> numpy.ndarray:
    """Grey levels [height, width] uint8 of pictures [num, channels, height, width], in a grid, or of a matrix.

    A grid has so many `columns`, or as many as rows.

    Black is the least entry and white the largest; at most 100 examples are shown.
    """
    shown = x[:MOST].astype(numpy.float32)
    low, high = float(shown.min()), float(shown.max())
    levels = ((shown - low) / max(high - low, 1e-12) * 255).round().astype(numpy.uint8)
    return levels if levels.ndim == 2 else _grid(levels.mean(1).astype(numpy.uint8), columns)


def save(file: Path, x: Tensor) -> Path:
    """Writes `render(x)` as PNG, magnified without smoothing."""
    file.parent.mkdir(exist_ok=True)
    grey = render(x)
    factor = max(1, math.ceil(SMALLEST_SIDE / max(grey.shape)))
    Image.fromarray(grey).resize((grey.shape[1] * factor, grey.shape[0] * factor), Image.Resampling.NEAREST).save(file)
    return file


def _grid(pictures: numpy.ndarray, columns: int | None) -> numpy.ndarray:
    """Pictures side by side, a mid-grey line of one pixel between them."""
    num, height, width = pictures.shape
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    sheet = numpy.full((rows * (height + 1) + 1, columns * (width + 1) + 1), 96, dtype=numpy.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + 1) + 1, (place % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = picture
    return sheet
