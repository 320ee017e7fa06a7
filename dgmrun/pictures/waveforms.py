"""Sounds of several models beside data, as waves over time."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib import rc_context
from numpy import arange, ndarray

from dgmrun.pictures.drawing import STYLE, Picture, titled

MOST = 8
"""Largest number of sounds of a column."""


@rc_context(STYLE)
def draw(panels: Mapping[str, ndarray], rate: int) -> Picture:
    """Draws the first sounds of each panel in a column, under its title.

    Args:
        panels: amplitudes from -1 to 1, [sounds, samples], by title.
        rate: samples of a second.
    """
    rows = min(MOST, max(map(len, panels.values())))
    figure = Picture(figsize=(5 * len(panels), 1 + 0.8 * rows), layout="constrained")
    every = figure.subplots(rows, len(panels), sharex=True, sharey=True, squeeze=False)
    for column, (title, waves) in zip(every.T, panels.items(), strict=True):
        column[0].set_title(title)
        for axes, wave in zip(column, waves, strict=False):
            axes.plot(arange(len(wave)) / rate, wave, linewidth=0.6)
            axes.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1))
        column[-1].set_xlabel("seconds")
    every[rows // 2, 0].set_ylabel("amplitude")
    figure.data = titled(panels)
    return figure
