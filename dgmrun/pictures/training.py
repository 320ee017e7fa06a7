"""Plot of a training: its loss and what it was validated by, against the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture

WIDE = 10
"""Ratio of the largest value to the smallest, if positive, from which on the axis is logarithmic."""
FEW = 10
"""Largest number of points that are marked, so that one alone is seen."""


@rc_context(STYLE)
def curves(
    values: Mapping[str, Sequence[tuple[int, float]]],
    errors: Mapping[str, Mapping[int, float]],
    overfits_from: int | None = None,
) -> Picture:
    """Plots steps and values of each tag, with a band, or bars at few points, of one standard error where it is known.

    Each tag has a panel of its own, as losses of many objectives are of another size than a likelihood.

    Args:
        values: steps and values of each tag.
        errors: standard errors of each tag, by step.
        overfits_from: the step of the least validation, after which the training over-fits.
    """
    height = 1 + 2.2 * len(values)
    figure = Picture(figsize=(8, height), dpi=DPI)
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.6 / height, top=1 - 0.4 / height, hspace=0.3)
    panels = figure.subplots(len(values), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (tag, rows), colour in zip(panels, values.items(), COLOURS, strict=False):
        step, value = numpy.array(rows).T
        error = numpy.array([errors[tag].get(int(place), 0.0) for place in step])
        if len(step) <= FEW:
            axes.errorbar(step, value, error, color=colour, marker="o", markersize=4)
        else:
            axes.plot(step, value, color=colour)
            axes.fill_between(step, value - error, value + error, facecolor=(colour, 0.2), linewidth=0)
        if overfits_from is not None:
            axes.axvline(overfits_from, color="black", linewidth=1, linestyle="--")
            axes.axvspan(overfits_from, max(step), color="0.92", zorder=0)
        axes.set(title=f"{tag}{', +- one standard error' if error.any() else ''}", ylabel="nats")
        if 0 < value.min() * WIDE < value.max():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
    if overfits_from is not None:
        _name(panels[0], overfits_from)
    panels[-1].set_xlabel("step")
    told = [(tag, step, value, errors[tag].get(step)) for tag, rows in values.items() for step, value in rows]
    figure.data = dict(zip(("curve", "step", "value", "standard_error"), zip(*told, strict=True), strict=True))
    return figure


def _name(axes: Axes, start: int) -> None:
    """Writes beside the line at the least validation what it is, where the curve is low."""
    is_late = start > sum(axes.get_xlim()) / 2
    axes.annotate(
        f"least at step {start}, over-fitting after it",
        (start, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if is_late else 6, -6),
        textcoords="offset points",
        horizontalalignment="right" if is_late else "left",
        verticalalignment="top",
    )
