"""Plot of gradient estimators, ordered by variance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy
from matplotlib import rc_context

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture
from dgmrun.report.gradients import steadiest
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
