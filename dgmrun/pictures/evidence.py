"""Plots about estimates of log Z and likelihoods: convergence of methods, and a proposal against its model.

All functions are pure, from plain values to plots; log-probabilities and log Z are in nats.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from numpy import ndarray

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture, wrapped

Row = tuple[float, float, float | None, float | None]
DASHES = ("-", "--", ":", "-.")
MARGIN, LEAST_MARGIN, REACH = 0.15, 1e-3, 3
"""Margin above and below the visible values, as a fraction of their range; its minimum in nats; and how far away early
values may be to be visible, in ranges of the later ones."""
MOST_POINTS = 1000
"""Largest number of points of each kind in a scatter plot."""
OF_STUDENT, OF_TEACHER = (
    "samples of the student",
    ("teacher, chains from the student", "teacher, chains from elsewhere"),
)


class Curves(NamedTuple):
    """Convergence of methods to the same quantity, in nats.

    Args:
        methods: for each method, rows (n, estimate from the first n samples, lower end, upper end), where the ends are
            those of a 99.7 % interval (None if open).
        exact: the true value, if known.
    """

    methods: Mapping[str, Sequence[Row]]
    exact: float | None


class Points(NamedTuple):
    """Log-probabilities under a teacher p and its student q, in nats.

    Args:
        p_of_q, q_of_q: at samples of the student, [samples].
        p_of_p, q_of_p: at samples of the two halves of the teacher's chains, each [samples]; the first half was started
            at samples of q.
    """

    p_of_q: ndarray
    q_of_q: ndarray
    p_of_p: tuple[ndarray, ndarray]
    q_of_p: tuple[ndarray, ndarray]


@rc_context(STYLE)
def curves(panels: Mapping[str, Curves], quantity: str = "log Z") -> Picture:
    """Plots a quantity against the number of samples, with a 99.7 % band for each method; one panel for each model."""
    figure = Picture(figsize=(8, 4 * len(panels)), dpi=DPI, layout="constrained")
    every = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (title, panel) in zip(every, panels.items(), strict=True):
        limits = _limits(panel)
        looks = itertools.cycle(itertools.product(DASHES, COLOURS))
        for (name, rows), (dash, colour) in zip(panel.methods.items(), looks, strict=False):
            count, value, low, high = _within(numpy.array(rows, dtype=float), limits).T
            low, high = _up_to(value, low, high), _up_to(value, high, low)
            axes.plot(count, value, color=colour, linestyle=dash, label=wrapped(name, 28))
            axes.fill_between(count, low, high, facecolor=(colour, 0.08), edgecolor=(colour, 0.5), linewidth=0.7)
        if panel.exact is not None:
            axes.axhline(panel.exact, color="black", linewidth=1.2, linestyle="--", label="exact")
        axes.set(title=wrapped(title, 60), xlabel="samples", ylabel=f"{quantity} (nats)", xscale="log", ylim=limits)
        _count(axes)
        axes.legend(
            *axes.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1.0, 1.0), title="band: 99.7 %"
        )
    figure.data = _told(panels)
    return figure


def _told(panels: Mapping[str, Curves]) -> dict[str, Any]:
    """Numbers of `curves`: a row for each point, and one for each exact value."""
    told: list[tuple[Any, ...]] = []
    for title, panel in panels.items():
        told += [(title, name, *row) for name, rows in panel.methods.items() for row in rows]
        told += [] if panel.exact is None else [(title, "exact", None, panel.exact, None, None)]
    names = ("panel", "method", "samples", "value", "low", "high")
    return dict(zip(names, zip(*told, strict=True), strict=True))


def _up_to(value: ndarray, end: ndarray, other: ndarray) -> ndarray:
    """Replaces an open end of the band by the value itself, if the other end is not open."""
    return numpy.where(numpy.isnan(end) & ~numpy.isnan(other), value, end)


def _limits(panel: Curves) -> tuple[float, float]:
    """Returns axis limits that contain the later half of every curve, every final interval, and all that is near."""
    lines = [row[1] for rows in panel.methods.values() for row in rows[len(rows) // 2 :]]
    final = [end for rows in panel.methods.values() for end in rows[-1][2:]]
    seen = [end for end in (*lines, *final, panel.exact) if end is not None] or [0.0]
    low, high = min(seen), max(seen)
    room = REACH * max(high - low, LEAST_MARGIN)
    every = [row[1] for rows in panel.methods.values() for row in rows]
    near = [value for value in every if low - room <= value <= high + room]
    low, high = min([low, *near]), max([high, *near])
    margin = max(MARGIN * (high - low), LEAST_MARGIN)
    return low - margin, high + margin


def _within(rows: ndarray, limits: tuple[float, float]) -> ndarray:
    """Drops the first rows up to the last whose value is beyond the axis, so that no curve is cut at the frame."""
    low, high = limits
    (beyond,) = numpy.nonzero((rows[:, 1] < low) | (rows[:, 1] > high))
    return rows[beyond[-1] + 1 :] if len(beyond) else rows


def _count(axes: Axes) -> None:
    """Sets ticks of a logarithmic axis of counts, including axes of less than a decade."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


@rc_context(STYLE)
def densities(students: Mapping[str, Points]) -> Picture:
    """Plots log q against log p at samples of both, and both sorted at those of the teacher; one column per student."""
    num = len(students)
    shape, size = ((1, 2), (11, 5.5)) if num == 1 else ((2, num), (1 + 4.2 * num, 9.5))
    figure = Picture(figsize=size, dpi=DPI, layout="constrained")
    shared: Any = "row" if num > 1 else "none"
    rows = figure.subplots(*shape, squeeze=False, sharex=shared, sharey=shared).reshape(2, num)
    for (title, points), (scattered, ranked) in zip(students.items(), rows.T, strict=True):
        _scatter(scattered, points)
        _sorted(ranked, points)
        scattered.set_title(wrapped(title, 40))
    for axes in rows[:, 1:].flat:
        axes.set_ylabel("")
    named = [pair for axes in rows[:, 0] for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    figure.legend(*zip(*named, strict=True), loc="outside lower center", ncols=3, markerscale=2)
    figure.data = {"titles": [*students]} | {
        f"panel_{number}_{name}": numpy.hstack(part)
        for number, points in enumerate(students.values(), 1)
        for name, part in points._asdict().items()
    }
    return figure


def _scatter(axes: Axes, points: Points) -> None:
    """Plots the two log-densities; chains started independently of q are below, in larger and lighter dots."""
    of_p = zip(OF_TEACHER, points.p_of_p, points.q_of_p, (COLOURS[0], COLOURS[5]), (4, 9), (3, 1), strict=True)
    for name, p, q, colour, size, height in ((OF_STUDENT, points.p_of_q, points.q_of_q, COLOURS[1], 7, 2), *of_p):
        step = -(-len(p) // MOST_POINTS)
        kind = {"s": size, "color": colour, "zorder": height, "label": name}
        axes.scatter(p[::step], q[::step], alpha=0.7, linewidths=0, **kind)
    middle = float(numpy.median(numpy.concatenate(points.p_of_p)))
    axes.axline((middle, middle), slope=1, color="black", linewidth=1, zorder=4, label="log q = log p")
    axes.set(xlabel="log p (nats)", ylabel="log q (nats)")


def _sorted(axes: Axes, points: Points) -> None:
    """Plots each log-density, sorted on its own."""
    for name, halves, colour in (("log p", points.p_of_p, "black"), ("log q", points.q_of_p, COLOURS[1])):
        value = numpy.sort(numpy.concatenate(halves))[::-1]
        axes.plot(
            numpy.arange(1, len(value) + 1), value, color=colour, label=f"{name} of the teacher's samples, sorted"
        )
    axes.set(xlabel="rank", ylabel="log-probability (nats)")
