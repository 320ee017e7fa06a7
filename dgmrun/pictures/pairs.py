"""Pair plots of tables of a few columns: samples of several models beside data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy import ndarray

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture, titled, wrapped

MOST_COLUMNS, MOST_POINTS = 6, 1000
"""Largest numbers of columns and of examples that are drawn."""
BINS, MARGIN = 24, 0.05
"""Number of bins of a histogram, and the margin around data, as a fraction of their extent."""
CELL, LEAST = 1.3, 3.4
"""Sizes in inches: side of a cell, and least side of a panel."""


def suit(x: ndarray) -> bool:
    """Returns whether pair plots show these examples well: a table of a few columns, not of bits alone."""
    return x.ndim == 2 and x.shape[1] <= MOST_COLUMNS and not numpy.isin(x, (0, 1)).all()


@rc_context(STYLE)
def pairs(panels: Mapping[str, ndarray]) -> Picture:
    """Plots each column as a histogram, and each pair of columns as points, on the same axes in every panel.

    A line repeats the histogram of the first panel in all others. Values far from those of the first are not seen.

    Args:
        panels: by title, examples [num, columns].
    """
    first, *_ = panels.values()
    columns = first.shape[1]
    side = max(LEAST, CELL * columns)
    figure = Picture(figsize=(side * len(panels), side + 0.4), dpi=DPI, layout="constrained")
    parts = figure.subfigures(1, len(panels), squeeze=False)[0]
    limits = [_limits(first[:, column], [x[:, column] for x in panels.values()]) for column in range(columns)]
    for part, (title, x), colour in zip(parts, panels.items(), _colours(len(panels)), strict=True):
        part.suptitle(wrapped(title, int(9 * side)), fontsize=STYLE["axes.titlesize"])
        cells = part.subplots(columns, columns, squeeze=False)
        for (row, column), axes in numpy.ndenumerate(cells):
            if column > row:
                axes.remove()
                continue
            _cell(axes, x[:MOST_POINTS], first[:MOST_POINTS], (row, column), limits, colour)
            _name(axes, (row, column), columns)
    figure.data = titled(panels)
    return figure


def _colours(num: int) -> list[str]:
    """Returns grey for data, and a colour for each model."""
    return ["0.4", *(COLOURS[place % len(COLOURS)] for place in range(num - 1))]


def _limits(first: ndarray, every: Sequence[ndarray]) -> tuple[float, float]:
    """Returns ends that contain all values, but not those further from the first panel's than these from each other."""
    low, high = float(first.min()), float(first.max())
    extent = high - low or 1.0
    values = numpy.concatenate(every)
    seen = values[abs(values - (low + high) / 2) <= 1.5 * extent]
    return min(low, seen.min(initial=low)) - MARGIN * extent, max(high, seen.max(initial=high)) + MARGIN * extent


def _cell(
    axes: Axes, x: ndarray, first: ndarray, place: tuple[int, int], limits: list[tuple[float, float]], colour: str
) -> None:
    """Draws the histogram of a column on the diagonal, or the points of two columns below it."""
    row, column = place
    axes.set_xlim(limits[column])
    if row == column:
        bins = numpy.linspace(*limits[column], BINS + 1).tolist()
        shares = [numpy.full(len(each), 1 / len(each)) for each in (x, first)]
        axes.hist(x[:, column], bins=bins, weights=shares[0], color=colour, alpha=0.7)
        axes.hist(first[:, column], bins=bins, weights=shares[1], histtype="step", color="black", linewidth=0.8)
        return
    axes.set_ylim(limits[row])
    axes.scatter(x[:, column], x[:, row], s=4, color=colour, alpha=0.6, linewidths=0)


def _name(axes: Axes, place: tuple[int, int], columns: int) -> None:
    """Names the columns at the left and below; the height of a histogram is of no interest."""
    row, column = place
    axes.locator_params(nbins=3)
    if row == columns - 1:
        axes.set_xlabel(f"x_{column + 1}")
    else:
        axes.tick_params(labelbottom=False)
    if row == column:
        axes.set_yticks([])
    elif column == 0:
        axes.set_ylabel(f"x_{row + 1}")
    else:
        axes.tick_params(labelleft=False)
