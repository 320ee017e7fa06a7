"""Plots of latent representations: active units, posterior means, and latent traversals.

All functions are pure, from plain arrays to plots.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy
from matplotlib import rc_context
from numpy import ndarray

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture
from dgmrun.pictures.grid import pixels

MARKERS = ("o", "^", "s", "D")
MOST_LABELS = 24
"""Largest number of labels for which there is a legend."""


@rc_context(STYLE)
def activity(variances: Sequence[ndarray], threshold: float) -> Picture:
    """Plots the variance over examples of each unit's posterior mean, sorted; one panel for each layer.

    Args:
        variances: variances of the units of each layer, bottom first.
        threshold: variance above which a unit counts as active.
    """
    figure = Picture(figsize=(7, 2.8 * len(variances)), dpi=DPI, layout="constrained")
    every = figure.subplots(len(variances), 1, squeeze=False)[:, 0]
    for layer, (axes, variance) in enumerate(zip(every, variances, strict=True), 1):
        active = int((variance > threshold).sum())
        rank = numpy.arange(1, len(variance) + 1)
        axes.bar(rank, numpy.sort(variance)[::-1].clip(1e-6), color=[COLOURS[0]] * active + ["0.7"] * len(variance))
        axes.axhline(threshold, color="black", linewidth=1, linestyle="--")
        axes.set(title=f"layer {layer}: {active} of {len(variance)} units active", yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="unit, by rank", ylabel="variance of posterior mean", ylim=(1e-6, None))
    told = [(layer, unit, each) for layer, row in enumerate(variances, 1) for unit, each in enumerate(row.tolist(), 1)]
    figure.data = dict(zip(("layer", "unit", "variance"), zip(*told, strict=True), strict=True))
    return figure


@rc_context(STYLE)
def scatter(z: ndarray, y: ndarray | None, names: tuple[str, str]) -> Picture:
    """Plots posterior means of examples in two units, coloured by label.

    Args:
        z: posterior means, [examples, 2].
        y: integer labels [examples], if any.
        names: names of the two units.
    """
    figure = Picture(figsize=(6, 5), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    kinds = [None] if y is None else numpy.unique(y).tolist()
    for kind, (marker, colour) in zip(kinds, itertools.cycle(itertools.product(MARKERS, COLOURS)), strict=False):
        shown = z if y is None else z[y == kind]
        axes.scatter(shown[:, 0], shown[:, 1], s=12, color=colour, marker=marker, alpha=0.7, linewidths=0, label=kind)
    axes.set(xlabel=names[0], ylabel=names[1], title="posterior means")
    if 1 < len(kinds) <= MOST_LABELS:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="label", markerscale=2)
    figure.data = {**dict(zip(names, z.T, strict=True)), **({} if y is None else {"label": y})}
    return figure


@rc_context(STYLE)
def walks(pictures: ndarray, values: Sequence[float], names: Sequence[str]) -> Picture:
    """Plots a row for each unit: means of p(x|z) as it takes these values and the other units are fixed.

    Args:
        pictures: images, [units, values, channels, height, width].
        values: values of the unit.
        names: names of the units.
    """
    rows, columns = pictures.shape[:2]
    height, width = pictures.shape[-2:]
    high = 0.7 * rows * height / width
    figure = Picture(figsize=(0.7 * columns + 1.2, high + 0.9), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    sheet = pixels(pictures.reshape(-1, *pictures.shape[2:]), columns)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    step_x, step_y = width + 1, height + 1
    axes.set_xticks([place * step_x + width / 2 for place in range(columns)], [f"{value:.1f}" for value in values])
    axes.set_yticks([place * step_y + height / 2 for place in range(rows)], names)
    axes.set(xlabel="value of the unit", title="mean of p(x | z) as one unit varies")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    figure.data = {"pictures": pictures, "values": values, "units": names}
    return figure
