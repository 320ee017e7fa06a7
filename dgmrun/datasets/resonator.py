r"""A resonator driven by noise: the stationary autoregressive process of second order, whose entropy is known.

.. math::  x_t = 2 r \cos(2 \pi f)\, x_{t-1} - r^2 x_{t-2} + e_t, \qquad e_t \sim N(0, 1)

It rings at f cycles a step, and an oscillation falls by the factor r a step. With :math:`\phi_1 = 2 r \cos(2 \pi f)`
and :math:`\phi_2 = -r^2`, the variance and the correlation of neighbours are

.. math::  \sigma^2 = \frac{1 - \phi_2}{1 + \phi_2} \frac{1}{(1 - \phi_2)^2 - \phi_1^2}, \qquad
           \rho_1 = \frac{\phi_1}{1 - \phi_2}

The first two steps are drawn from their joint distribution, so that the process is stationary from the start. The
differential entropy of T steps, in nats, is

.. math::  \tfrac{1}{2} \log(2 \pi e \sigma^2) + \tfrac{1}{2} \log(2 \pi e \sigma^2 (1 - \rho_1^2))
           + \frac{T - 2}{2} \log(2 \pi e)

References:
    Box and Jenkins (1970), Time series analysis: forecasting and control, section 3.2.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn_in_time
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

RATE = math.log(2 * math.pi * math.e) / 2
"""Entropy of e_t, in nats, and so of each step given all before it, from the third on."""


def load(data_dir: Path, sizes: Sequence[int], length: int, radius: float, frequency: float) -> Splits:
    """Draws x [N, length].

    Args:
        data_dir: unused.
        sizes: number of sequences in train, valid and test.
        length: number of steps T of a sequence.
        radius: r, the factor by which oscillations fall from one step to the next.
        frequency: f, in cycles a step.
    """
    event(sizes, length, radius, frequency)
    first, second = coefficients(radius, frequency)
    variance, neighbours = moments(radius, frequency)

    def draw(size: int) -> Split:
        e = torch.randn(length + 1, size, dtype=torch.float64)
        x = [e[0] * math.sqrt(variance)]
        x.append(neighbours * x[0] + e[1] * math.sqrt(variance * (1 - neighbours**2)))
        for noise in e[2:length]:
            x.append(first * x[-1] + second * x[-2] + noise)
        return Split(torch.stack(x[:length], 1).float())

    return drawn_in_time("resonator", sizes, draw, entropy(length, radius, frequency), RATE)


def event(sizes: Sequence[int], length: int, radius: float, frequency: float) -> Event:
    """Returns the event of x: `length` real numbers.

    Raises:
        Mistake: a setting is out of range.
    """
    if type(length) is not int or length < 1:
        raise Mistake(f"`dataset.length` must be a whole number of at least 1, but is {length}")
    if not 0 <= radius < 1:
        raise Mistake(f"`dataset.radius` must be at least 0 and below 1, as it is stationary, but is {radius}")
    if not 0 <= frequency <= 0.5:
        raise Mistake(f"`dataset.frequency` must be from 0 to 0.5 cycles a step, but is {frequency}")
    return Event((length,), "real")


def coefficients(radius: float, frequency: float) -> tuple[float, float]:
    """Returns phi_1 and phi_2, the weights of the last two steps."""
    return 2 * radius * math.cos(2 * math.pi * frequency), -(radius**2)


def moments(radius: float, frequency: float) -> tuple[float, float]:
    """Returns the variance of a step, and its correlation with the one before."""
    first, second = coefficients(radius, frequency)
    variance = (1 - second) / (1 + second) / ((1 - second) ** 2 - first**2)
    return variance, first / (1 - second)


def entropy(length: int, radius: float, frequency: float) -> float:
    """Returns the differential entropy of a sequence, in nats."""
    variance, neighbours = moments(radius, frequency)
    of_first = math.log(variance) / 2
    of_second = of_first + math.log1p(-(neighbours**2)) / 2
    return length * RATE + of_first + (of_second if length > 1 else 0)
