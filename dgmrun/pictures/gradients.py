"""Plots of gradients: estimators, ordered by variance, and variance against the number of examples in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import NDArray

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture
from dgmrun.report.gradients import is_noisy, of_one, steadiest
from dgmrun.run.figures import Figure

LEAST = 1e-6
"""Least standard error of a log variance that is believed, so that one of 0 has a weight, too."""


@rc_context(STYLE)
def draw(figures: Mapping[str, Figure]) -> Picture:
    """Plots log variance with its 99.7 % interval, signal-to-noise ratio, and time; a row for each estimator."""
    every = steadiest(figures)
    plot = Picture(figsize=(10, 1.5 + 0.3 * len(every)), dpi=DPI, layout="constrained")
    variance, signal, seconds = plot.subplots(1, 3, sharey=True)
    rows = range(len(every))
    labels = [f"{name} ({figure.settings['bound']})" for name, figure in every.items()]
    values = [figure.value for figure in every.values()]
    ends = numpy.array([figure.interval or (figure.value,) * 2 for figure in every.values()], dtype=float).T
    variance.errorbar(values, rows, xerr=abs(ends - values), fmt="o", color=COLOURS[0], capsize=3)
    variance.set(xlabel="log variance", yticks=rows, yticklabels=labels)
    variance.invert_yaxis()
    for axes, key, label in (
        (signal, "signal_to_noise", "signal to noise"),
        (seconds, "milliseconds", "milliseconds a gradient"),
    ):
        axes.plot([figure.diagnostics[key] or 0.0 for figure in every.values()], rows, "o", color=COLOURS[0])
        axes.set(xlabel=label, xlim=(0, None))
    for axes in (variance, signal, seconds):
        axes.grid(axis="y", color="0.9")
    plot.data = {
        "estimator": labels,
        "log_variance": values,
        "low": ends[0],
        "high": ends[1],
        **{key: [figure.diagnostics[key] for figure in every.values()] for key in ("signal_to_noise", "milliseconds")},
    }
    return plot


@rc_context(STYLE)
def draw_sizes(figures: Sequence[Figure]) -> Picture:
    """Plots the variance of the gradient against the number of examples, with its law if known, on logarithmic axes."""
    plot = Picture(figsize=(6.4, 4.4), dpi=DPI, layout="constrained")
    axes = plot.subplots()
    n = numpy.array([figure.examples for figure in figures])
    value, low, high = numpy.exp([(figure.value, *(figure.interval or ())) for figure in figures]).T
    plot.data = {"examples": n, "variance": value, "low": low, "high": high}
    if is_noisy(figures):
        axes.plot(n, value[0] * n[0] / n, color="0.6", linestyle="--", label="1 / n, from the first")
    else:
        plot.data |= {"variance_of_one": _draw_law(axes, figures)}
    axes.errorbar(n, value, (value - low, high - value), fmt="o", color=COLOURS[0], capsize=3, label="measured, 99.7 %")
    axes.set(xscale="log", yscale="log", xlabel="examples n", ylabel="variance, mean over parameters")
    noise = ", with noise drawn for each example" if is_noisy(figures) else ""
    axes.set_title(f"gradient of {figures[0].settings['objective']}{noise}")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    return plot


def _draw_law(axes: Axes, figures: Sequence[Figure]) -> NDArray[Any]:
    """Plots the law of batches that are drawn without replacement; returns the variance of one that each implies."""
    num = figures[0].settings["of"]
    single, errors = numpy.array([of_one(figure) for figure in figures]).T
    relative = numpy.maximum(errors / single, LEAST)
    mean = numpy.exp(numpy.average(numpy.log(single), weights=relative**-2.0))
    grid = numpy.geomspace(figures[0].settings["batch_size"], num, 300)[:-1]
    axes.plot(grid, mean / grid, color="0.6", linestyle="--", label="variance of one / n")
    law = mean / grid * (num - grid) / (num - 1)
    axes.plot(grid, law, color="0.3", linewidth=1, label=f"... times (N - n) / (N - 1), N = {num}")
    return single
