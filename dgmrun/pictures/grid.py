"""Images from tensors: grids of examples, and matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from torch import Tensor

MOST = 100
RED_GREEN_BLUE = 3


def render(x: Tensor) -> numpy.ndarray:
    """Converts a tensor to `pixels`."""
    return pixels(x[:MOST].detach().float().cpu().numpy())


def pixels(x: numpy.ndarray, columns: int | None = None) -> numpy.ndarray:
    """Converts images to a grid, or anything else to a matrix, as uint8 [height, width].

    Images are [num, channels, height, width], or [num, height, width] of one channel. Three channels are red, green and
    blue, and give [height, width, 3]; for any other number, their mean is shown.
    A grid has `columns` columns, or as many as rows.

    The smallest entry is black and the largest white; at most 100 examples are shown.
    """
    shown = x[:MOST].astype(numpy.float32)
    if shown.ndim == 3:
        shown = shown[:, None]
    elif shown.ndim != 4:
        shown = shown.reshape(len(shown), -1)
    low, high = float(shown.min()), float(shown.max())
    levels = ((shown - low) / max(high - low, 1e-12) * 255).round().astype(numpy.uint8)
    if levels.ndim == 2:
        return levels
    in_colour = levels.shape[1] == RED_GREEN_BLUE
    return _grid(numpy.moveaxis(levels, 1, -1) if in_colour else levels.mean(1).astype(numpy.uint8), columns)


def _grid(pictures: numpy.ndarray, columns: int | None) -> numpy.ndarray:
    """Tiles images [num, height, width] or [num, height, width, 3], with grey lines of one pixel between them."""
    num, height, width = pictures.shape[:3]
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    size = (rows * (height + 1) + 1, columns * (width + 1) + 1)
    sheet = numpy.full((*size, *pictures.shape[3:]), 96, dtype=numpy.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + 1) + 1, (place % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = picture
    return sheet
