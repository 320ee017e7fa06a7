"""Plot of the scores of each split against a number that was set: the size of a family, a penalty, a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture, wrapped
from dgmrun.pictures.found import drawable
from dgmrun.report import decision
from dgmrun.report.runs import Entry, differing
from dgmrun.report.seeds import Group
from dgmrun.report.stale import SPLITS

DECADE = 10
"""Ratio of the largest value to the smallest above 0 from which on the axis is logarithmic."""
MOST_TICKS = 9
"""Number of values from which on some have no tick."""


class Point(NamedTuple):
    """A score in nats at a value of the setting, its standard error, nan if unknown, and the number of seeds."""

    value: float
    score: float
    error: float
    seeds: int


def of(entries: Sequence[Entry]) -> Picture | None:
    """Plots the scores if the only setting but the seed that differs between runs is a number."""
    varied = [name for name in differing(entries) if name != "seed"]
    if len(varied) != 1 or any(_number(entry.settings.get(varied[0])) is None for entry in entries):
        return None
    splits = _of_splits(entries, varied[0])
    return draw(varied[0], splits) if splits else None


def _number(text: str | None) -> float | None:
    """Returns the number that a value is, or is a list of alone, as are sizes of layers."""
    try:
        return drawable(float(str(text).strip("[]")))
    except ValueError:
        return None


def _of_splits(entries: Sequence[Entry], name: str) -> dict[str, list[Point]]:
    """Returns the scores of each split at two or more values of a setting: the first contest of each.

    All errors are of one kind: over seeds if any score has several, so that one with a single seed has none.
    """
    found: dict[str, list[Point]] = {}
    for contest in decision.contests(entries):
        points = sorted(point for row in contest.rows if (point := _point(row.group, name)) is not None)
        if len(points) > 1:
            found.setdefault(str(contest.ground[0].figure.split), points)
    if any(point.seeds > 1 for points in found.values() for point in points):
        found = {split: [_over_seeds(point) for point in points] for split, points in found.items()}
    return {split: found[split] for split in SPLITS if split in found}


def _over_seeds(point: Point) -> Point:
    return point if point.seeds > 1 else point._replace(error=math.nan)


def _point(group: Group, name: str) -> Point | None:
    """Returns a point with the error over seeds or, of one seed, over examples; None if no axis can show it."""
    one = group.runs[0]
    value, score = _number(one.entry.settings.get(name)), drawable(group.mean)
    error = drawable(one.figure.standard_error if group.standard_error is None else group.standard_error)
    if value is None or score is None:
        return None
    return Point(value, score, math.nan if error is None else max(error, 0.0), group.seeds)


@rc_context(STYLE)
def draw(name: str, splits: Mapping[str, Sequence[Point]]) -> Picture:
    """Plots a line for each split, and marks the value that is best on valid."""
    figure = Picture(figsize=(7, 4.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for split, colour in zip(splits, COLOURS, strict=False):
        values, scores, errors, _ = zip(*splits[split], strict=True)
        axes.errorbar(values, scores, errors, color=colour, marker="o", markersize=4, capsize=3, label=split)
    every = [point for points in splits.values() for point in points]
    if "valid" in splits:
        best = max(splits["valid"], key=lambda point: point.score).value
        axes.axvline(best, color="black", linewidth=1, linestyle="--", label=f"best of valid: {best:g}")
    axes.set(xlabel=wrapped(name, 60), ylabel="nats per example", title=_of_what({point.seeds for point in every}))
    _scale(axes, sorted({point.value for point in every}))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.data = _told(splits)
    return figure


def _of_what(seeds: set[int]) -> str:
    if seeds == {1}:
        return "one seed, +- one standard error over examples"
    return f"mean +- one standard error over seeds{'; no bar: one seed' if 1 in seeds else ''}"


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Makes the axis logarithmic if the values span a decade, down to the least above 0, with 0 beside it."""
    least = min((value for value in values if value > 0), default=0.0)
    if values[0] < 0 or not 0 < DECADE * least <= values[-1]:
        return
    if values[0] == 0:
        axes.set_xscale("symlog", linthresh=least, linscale=0.5)
        axes.set_xlim(-0.2 * least, 1.2 * values[-1])
    else:
        axes.set_xscale("log")
    axes.set_xticks(values[:: 1 + len(values) // MOST_TICKS])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _told(splits: Mapping[str, Sequence[Point]]) -> dict[str, Any]:
    """Numbers of the plot: a row for each point."""
    rows = [(split, *point) for split, points in splits.items() for point in points]
    return dict(zip(("split", "value", "score", "standard_error", "seeds"), zip(*rows, strict=True), strict=True))
