"""Plot of students as measures of their teacher: the interval of log Z against the seconds that it cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.ticker import LogLocator, NullFormatter

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture, wrapped

MARKERS = "osD^v"


class Measure(NamedTuple):
    """log Z of a teacher by a method, through one student.

    Args:
        student: name of its run.
        method: name of the method.
        training: seconds of its training.
        measuring: seconds of its sampling and scoring and of the chains of the teacher, which all its methods share.
        half_width: of the 99.7 % interval, in nats; None if no interval is claimed.
    """

    student: str
    method: str
    training: float
    measuring: float
    half_width: float | None


@rc_context(STYLE)
def draw(panels: Mapping[str, Sequence[Measure]]) -> Picture:
    """Plots the half width of each interval against seconds of training and of measuring; a row for each teacher.

    The best student is at the lower left. A figure without an interval is in the legend alone.
    """
    plot = Picture(figsize=(11, 4.2 * len(panels)), dpi=DPI, layout="constrained")
    rows = plot.subplots(len(panels), 2, squeeze=False, sharey="row")
    for (title, measures), (training, measuring) in zip(panels.items(), rows, strict=True):
        colours = dict(zip(dict.fromkeys(each.student for each in measures), itertools.cycle(COLOURS), strict=False))
        markers = dict(zip(dict.fromkeys(each.method for each in measures), itertools.cycle(MARKERS), strict=False))
        for each in measures:
            look = {"color": colours[each.student], "marker": markers[each.method], "linestyle": "none"}
            label = f"{each.student}, {each.method}{': no interval' if each.half_width is None else ''}"
            y = [float("nan") if each.half_width is None else each.half_width]
            training.plot([each.training], y, **look)
            measuring.plot([each.measuring], y, **look, label=wrapped(label, 32))
        training.set(xlabel="seconds of training", ylabel="half of the 99.7 % interval of log Z (nats)")
        measuring.set(xlabel="seconds of sampling and scoring, all methods")
        training.set_title(wrapped(title, 60))
        for axes in (training, measuring):
            axes.set(xscale="log", yscale="log")
            axes.margins(0.1)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
        measuring.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    told = [(title, *each) for title, measures in panels.items() for each in measures]
    plot.data = dict(zip(("panel", *Measure._fields), zip(*told, strict=True), strict=True))
    return plot
