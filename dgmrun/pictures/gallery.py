"""Images in labelled panels: samples of several models beside data, or filters of a teacher and its student.

Each pixel is drawn as a block of whole pixels, so that binary samples stay sharp.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy import ndarray

from dgmrun.pictures.drawing import DPI, STYLE, Picture, titled, wrapped
from dgmrun.pictures.grid import MOST, pixels
from dgmrun.pictures.pairs import pairs, suit

SIDE, LARGEST = 600, 900
"""Side of a panel in pixels: approximate and maximal."""
LEFT, RIGHT, BELOW, BAR, LOWEST = 72, 120, 60, 18, 240
"""Sizes in pixels of a panel with axes: room around it, width of its colour bar, and height of a matrix."""
NARROWEST, GAP, LETTER, LINE = 200, 24, 11, 20
"""Sizes in pixels: width of a panel with its title, gap between panels, width of a character, height of a line."""


def samples(panels: Mapping[str, ndarray], columns: int | None = None) -> Picture:
    """Plots examples side by side: tables of a few columns as pair plots, and all else as `side_by_side` does."""
    return pairs(panels) if all(map(suit, panels.values())) else side_by_side(panels, columns)


@rc_context(STYLE)
def side_by_side(panels: Mapping[str, ndarray], columns: int | None = None, value: str | None = None) -> Picture:
    """Plots one row of titled panels, and a colour bar of greys from 0 to 1 if it is said what they are.

    Args:
        panels: by title, images [num, channels, height, width], drawn as a grid, or anything else as a matrix; at most
            100 examples.
        columns: number of columns of the grids; None for as many as rows.
        value: what a value is; None for no colour bar.
    """
    sheets = {title: pixels(x, columns) for title, x in panels.items()}
    sizes = [_size(sheet.shape) for sheet in sheets.values()]
    titles = [wrapped(title, max(width, NARROWEST) // LETTER) for title, (width, _) in zip(sheets, sizes, strict=True)]
    top = GAP + LINE * max(title.count("\n") + 1 for title in titles)
    width = GAP + sum(max(width, NARROWEST) + GAP for width, _ in sizes) + (0 if value is None else BAR + RIGHT)
    height = GAP + max(height for _, height in sizes) + top
    figure = Picture(figsize=(width / DPI, height / DPI), dpi=DPI)
    left = GAP
    for title, sheet, (wide, high) in zip(titles, sheets.values(), sizes, strict=True):
        room = max(wide, NARROWEST)
        place = ((left + (room - wide) // 2) / width, 1 - (top + high) / height, wide / width, high / height)
        axes = figure.add_axes(place)
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, aspect="auto")
        axes.set_title(title)
        axes.set_axis_off()
        left += room + GAP
    if value is not None:
        bar = figure.add_axes((left / width, place[1], BAR / width, place[3]))
        figure.colorbar(ScalarMappable(Normalize(0, 1), "gray"), cax=bar, label=value)
    figure.data = titled(panels)
    return figure


@rc_context(STYLE)
def valued(x: ndarray, title: str, value: str, row: str, column: str) -> Picture:
    """Plots values with a colour bar, as a grid of images, or a matrix with axes.

    Args:
        x: images [num, channels, height, width], drawn as a grid, or anything else as a matrix; at most 100 rows.
        title: what it is.
        value: what a value is.
        row: what a row of a matrix is.
        column: what a column of a matrix is.
    """
    shown = x[:MOST]
    is_matrix = shown.ndim not in (3, 4)
    sheet = pixels(shown)
    wide, high = _size(sheet.shape)
    wide, high = (max(wide, NARROWEST), max(high, LOWEST)) if is_matrix else (wide, high)
    width, height = LEFT + wide + GAP + BAR + RIGHT, BELOW + high + GAP + LINE
    figure = Picture(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((LEFT / width, BELOW / height, wide / width, high / height))
    axes.imshow(sheet, vmin=0, vmax=255, aspect="auto")
    axes.set_title(wrapped(title, max(wide, NARROWEST) // LETTER))
    if is_matrix:
        axes.set(xlabel=column, ylabel=row)
    else:
        axes.set_axis_off()
    if sheet.ndim == 2:
        ends = Normalize(float(shown.min()), float(shown.max()))
        bar = figure.add_axes(((LEFT + wide + GAP) / width, BELOW / height, BAR / width, high / height))
        figure.colorbar(ScalarMappable(ends, "gray"), cax=bar, label=value)
    figure.data = {"values": shown}
    return figure


def features(teacher: ndarray, student: ndarray) -> Picture:
    """Plots the filters of a teacher's hidden units and of its student's, [H, channels, height, width] or [H, D]."""
    return side_by_side({"filters of the teacher": teacher, "filters of the student": student})


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns width and height of a panel: whole multiples of those of the image, unless it has to be shrunk."""
    height, width = shape[:2]
    factor = max(1, SIDE // max(height, width)) * min(1.0, LARGEST / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))
