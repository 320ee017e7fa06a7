"""Plot of a critic of examples in the plane, and of the gradient that it gives to the generator."""

from __future__ import annotations

import numpy
from matplotlib import rc_context
from numpy import ndarray

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture

SIDE = 100
"""Number of grid points per side."""
MARGIN = 0.25
"""Margin around all examples and samples, as a fraction of their extent."""
LONGEST, LEAST = 0.2, 0.1
"""Length of the longest arrow, as a fraction of the extent, and the pull from which on it has this length."""


def grid(*x: ndarray) -> ndarray:
    """Returns points [SIDE, SIDE, 2] of a square around all of `x`, each [num, 2]; rows have the same height."""
    every = numpy.concatenate(x)
    low, high = every.min(0), every.max(0)
    half = (0.5 + MARGIN) * max(float((high - low).max()), 1e-6)
    sides = [numpy.linspace(middle - half, middle + half, SIDE) for middle in (low + high) / 2]
    return numpy.stack(numpy.meshgrid(*sides), -1)


@rc_context(STYLE)
def portrait(places: ndarray, f: ndarray, x: ndarray, sample: ndarray, pull: ndarray) -> Picture:
    """Plots the critic's output as contours, examples and samples, and an arrow in the direction each sample is pulled.

    Args:
        places: points of the grid, [side, side, 2].
        f: the critic's output there, [side, side].
        x: examples [num, 2].
        sample: samples [num, 2].
        pull: minus the gradient of the generator's loss, times the number of samples, [num, 2].
    """
    figure = Picture(figsize=(6.4, 5.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    colours = axes.contourf(places[..., 0], places[..., 1], f, levels=24, cmap="Greys", alpha=0.7)
    figure.colorbar(colours, label="critic's output f")
    axes.scatter(x[:, 0], x[:, 1], s=8, color=COLOURS[0], linewidths=0, label="examples")
    axes.scatter(sample[:, 0], sample[:, 1], s=8, color=COLOURS[1], linewidths=0, label="samples")
    length = numpy.linalg.norm(pull, axis=1)
    extent = float(numpy.ptp(places[0, :, 0]))
    scale = max(float(length.max()), LEAST) / (LONGEST * extent)
    axes.quiver(*sample.T, *pull.T, angles="xy", scale_units="xy", scale=scale, color=COLOURS[1], width=0.003)
    axes.set(xlabel="x_1", ylabel="x_2", aspect="equal", title=f"a sample is pulled by {length.mean():.2g}")
    axes.legend(loc="upper left")
    figure.data = {"places": places, "f": f, "x": x, "sample": sample, "pull": pull}
    return figure
