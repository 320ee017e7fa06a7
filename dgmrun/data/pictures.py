"""Pictures in arrays: the order of their axes, grey levels from 0 to 255, and transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from dgmrun.errors import Mistake

LAYOUTS = ("channels_first", "channels_last", "examples_last")
CHANNELS = (1, 3, 4)
NO_BACKGROUND = "none"
BYTE, SMALLEST = 255, 4
"""Largest grey level; fewest pixels of a side."""
Found = tuple[NDArray[Any], list[str]]
"""An array, and what was understood of it."""


def examples_first(x: NDArray[Any], layout: str | None, labels: int | None) -> Found:
    """Moves the last axis to the front if it is that of the examples, as MATLAB keeps pictures [h, w, c, N].

    Args:
        x: an array of at least two axes.
        layout: `examples_last` if it is; None to recognise it.
        labels: number of labels, if there are any.
    """
    is_labelled = labels is not None and x.ndim > 2 and x.shape[0] != labels == x.shape[-1]
    is_picture = x.ndim == 4 and x.shape[2] in CHANNELS and x.shape[3] >= max(x.shape) and min(x.shape[:2]) >= SMALLEST
    if layout != "examples_last" and (layout is not None or not (is_labelled or is_picture)):
        return x, []
    return np.moveaxis(x, -1, 0), [f"the last axis as {x.shape[-1]} examples"]


def channels_first(x: NDArray[Any], layout: str | None) -> Found:
    """Moves the last axis of pictures [N, h, w, c] to the front if it has channels.

    Raises:
        Mistake: the layout does not suit the array, or no axis has as many channels as pictures have.
    """
    if layout == "channels_last" and x.ndim != 4:
        raise Mistake(f"`dataset.layout` must be null but for x [N, h, w, c], but x is {list(x.shape)}")
    if x.ndim != 4 or layout == "channels_first":
        return x, []
    is_last = x.shape[-1] in CHANNELS and min(x.shape[1:3]) > x.shape[-1]
    if not is_last and layout is None and x.shape[1] not in CHANNELS:
        raise Mistake(
            f"`dataset.layout` must be {' or '.join(LAYOUTS)} where no axis has 1, 3 or 4 channels, but is null "
            f"and x is {list(x.shape)}",
            "dataset.layout=channels_first for [N, c, h, w], channels_last for [N, h, w, c], "
            "examples_last for [h, w, c, N]",
        )
    if not is_last and layout is None:
        return x, []
    return np.moveaxis(x, -1, 1), [f"the last axis as {x.shape[-1]} channels"]


def are_levels(x: NDArray[Any], kind: str | None) -> bool:
    """Returns whether x [N, ...] are grey levels from 0 to 255.

    They are if `kind` is `unit`, if there are none but 0 and 255, or if they are pictures of bytes or reach both.
    """
    if kind not in (None, "unit", "binary") or x.min() < 0 or not 1 < x.max() <= BYTE or not are_whole(x):
        return False
    is_full = (x.min(), x.max()) == (0, BYTE) and min(x.shape[-2:]) >= SMALLEST
    is_picture = x.ndim > 2 and (is_full or x.dtype == np.uint8)
    return kind == "unit" or is_picture or bool(np.isin(x, (0, BYTE)).all())


def are_whole(x: Any) -> bool:
    """Returns whether all are whole numbers, up to rounding."""
    return bool((abs(x - x.round()) < 1e-3).all())


def without_alpha(x: NDArray[Any], background: str) -> Found:
    """Lays pictures x [N, 4, h, w] of grey levels k / 255 on a background, as their fourth channel is opacity.

    Args:
        x: an array of any shape; those of another are returned as they are.
        background: a colour; `none` to keep four channels.
    """
    if x.ndim != 4 or x.shape[1] != 4 or background == NO_BACKGROUND:
        return x, []
    levels = (np.moveaxis(x, 1, -1) * BYTE).round().astype(np.uint8)
    tall = np.ascontiguousarray(levels.reshape(-1, *levels.shape[2:]))  # all pictures above each other
    laid = np.asarray(opaque(Image.fromarray(tall), background).convert("RGB")).reshape(*levels.shape[:3], 3)
    said = f"the fourth channel as opacity on {background} (dataset.background=none keeps it)"
    return np.moveaxis(laid, -1, 1) / BYTE, [said]


def opaque(image: Image.Image, background: str) -> Image.Image:
    """Lays an image that has transparency, of any mode, on a background: colours under it are arbitrary."""
    if not image.has_transparency_data:
        return image
    paper = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(paper, image.convert("RGBA"))


def check_colour(background: Any) -> None:
    """Refuses what is no colour.

    Raises:
        Mistake: it is none.
    """
    try:
        ImageColor.getrgb(background)
    except (ValueError, AttributeError, TypeError):
        must = "`dataset.background` must be a colour, such as white or #ffffff"
        raise Mistake(f"{must}, but is {background}") from None
