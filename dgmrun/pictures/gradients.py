"""Plots of gradients: estimators, ordered by variance, and variance against the number of examples in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy
from matplotlib import rc_context

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture
from dgmrun.report.gradients import of_one, steadiest
from dgmrun.run.figures import Figure


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
    """Plots the variance of the gradient against the number of examples, with its law, on logarithmic axes."""
    plot = Picture(figsize=(6.4, 4.4), dpi=DPI, layout="constrained")
    axes = plot.subplots()
    num = figures[0].settings["of"]
    n = numpy.array([figure.examples for figure in figures])
    value, low, high = numpy.exp([(figure.value, *(figure.interval or ())) for figure in figures]).T
    single, errors = numpy.array([of_one(figure) for figure in figures]).T
    mean = numpy.average(single, weights=errors**-2.0)
    grid = numpy.geomspace(n[0], num, 300)[:-1]
    axes.plot(grid, mean / grid, color="0.6", linestyle="--", label="variance of one / n")
    law = mean / grid * (num - grid) / (num - 1)
    axes.plot(grid, law, color="0.3", linewidth=1, label=f"... times (N - n) / (N - 1), N = {num}")
    axes.errorbar(n, value, (value - low, high - value), fmt="o", color=COLOURS[0], capsize=3, label="measured, 99.7 %")
    axes.set(xscale="log", yscale="log", xlabel="examples n", ylabel="variance, mean over parameters")
    axes.set_title(f"gradient of {figures[0].settings['objective']}")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    plot.data = {"examples": n, "variance": value, "low": low, "high": high, "variance_of_one": single}
    return plot
