"""Plot of a search of latent space: the best string so far in each round, against the training strings."""

from __future__ import annotations

from itertools import accumulate

import numpy
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture
from dgmrun.report.optimised import Outcome


@rc_context(STYLE)
def draw(outcome: Outcome) -> Picture:
    """Plots each string that was measured, the best so far, and the best and the best tenth of the training strings."""
    figure = Picture(figsize=(6.4, 4.4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    rounds = [each.round for each in outcome.found]
    values = [numpy.nan if each.value is None else each.value for each in outcome.found]
    place = numpy.arange(1, len(values) + 1)
    best = list(accumulate(values, numpy.fmin if outcome.is_lower else numpy.fmax))
    axes.plot(place, values, "o", color=COLOURS[0], markersize=3, alpha=0.4, label="measured")
    axes.plot(place, best, color=COLOURS[1], label="best so far")
    for level, style, label in (
        (outcome.training[0][1], "--", "best of training"),
        (outcome.tenth, ":", "best tenth of training"),
    ):
        axes.axhline(level, color="0.3", linestyle=style, label=label)
    axes.set(xlabel="new strings", ylabel=outcome.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper center", ncols=4)
    strings = [each.string for each in outcome.found]
    figure.data = {"round": rounds, "string": strings, outcome.name: values, "best": best}
    return figure
