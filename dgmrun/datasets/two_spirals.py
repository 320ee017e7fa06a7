r"""Two interleaved spirals in the plane, of one and a half turns, with isotropic Gaussian noise.

.. math:: x = \pm \frac{t}{3} (-\cos t, \sin t) + \epsilon, \qquad t = 3 \pi \sqrt{u}, \quad u \sim U(0, 1)

The root spreads examples evenly along the spirals, but for their middle. Nearly as of Grathwohl, Chen, Bettencourt,
Sutskever and Duvenaud 2019, FFJORD (https://github.com/rtqichen/ffjord, lib/toy_data.py, 2spirals), whose noise has a
uniform part as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake


def load(data_dir: Path, sizes: Sequence[int], noise: float) -> Splits:
    """Draws x [N, 2], and y, which of the spirals it is on.

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        noise: standard deviation of the noise of each coordinate; the radius is up to pi.
    """
    if noise < 0:
        raise Mistake(f"`dataset.noise` must not be negative, but is {noise}")

    def draw(size: int) -> Split:
        y, t = torch.randint(2, (size,)), 3 * math.pi * torch.rand(size).sqrt()
        spiral = t[:, None] / 3 * torch.stack((-t.cos(), t.sin()), 1)
        return Split((1 - 2 * y[:, None]) * spiral + noise * torch.randn(size, 2), y)

    return drawn("two_spirals", sizes, draw)
