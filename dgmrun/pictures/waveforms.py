"""Sounds of several models beside data, as waves over time, and series as curves over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from numpy import arange, ndarray

from dgmrun.pictures.drawing import STYLE, Picture, titled

MOST = 8
"""Largest number of examples of a column."""


@rc_context(STYLE)
def draw(panels: Mapping[str, ndarray], rate: int | None = None, names: Sequence[str] = ()) -> Picture:
    """Draws the first examples of each panel in a column, under its title, all on one scale.

    Args:
        panels: by title, amplitudes of sounds from -1 to 1, [sounds, samples], or curves [examples, curves, steps].
        rate: samples of a second; None for curves.
        names: the name of each curve; none for sounds.
    """
    rows = min(MOST, max(map(len, panels.values())))
    figure = Picture(figsize=(5 * len(panels), 1 + 0.8 * rows), layout="constrained")
    every = figure.subplots(rows, len(panels), sharex=True, sharey=True, squeeze=False)
    for column, (title, waves) in zip(every.T, panels.items(), strict=True):
        column[0].set_title(title)
        for axes, wave in zip(column, waves, strict=False):
            axes.plot(arange(wave.shape[-1]) / (rate or 1), wave.T, linewidth=1 if names else 0.6)
            if rate is not None:
                axes.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
        column[-1].set_xlabel("step" if rate is None else "seconds")
    every[rows // 2, 0].set_ylabel("value" if rate is None else "amplitude")
    if names:
        figure.legend(every[0, 0].get_lines(), names, loc="outside lower center", ncols=len(names))
    figure.data = titled(panels)
    return figure
