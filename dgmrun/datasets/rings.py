r"""Concentric rings in the plane, each as likely as another: K circles of radii r with isotropic Gaussian noise.

.. math:: p(x) = \frac{1}{K} \sum_k \frac{1}{2 \pi \sigma^2} \exp\left(-\frac{|x|^2 + r_k^2}{2 \sigma^2}\right)
          I_0\left(\frac{|x|\, r_k}{\sigma^2}\right)

I_0 is a modified Bessel function: of each ring, |x| has a Rice distribution. Radii and noise are nearly those of
Grathwohl, Chen, Bettencourt, Sutskever and Duvenaud 2019, FFJORD (https://github.com/rtqichen/ffjord, lib/toy_data.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event


def load(data_dir: Path, sizes: Sequence[int], radii: Sequence[float], noise: float) -> Splits:
    """Draws x [N, 2], and y, which of the rings it is on.

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        radii: radius of each ring.
        noise: standard deviation of the noise of each coordinate.
    """
    _check(radii, noise)

    def draw(size: int) -> Split:
        y, angle = torch.randint(len(radii), (size,)), math.tau * torch.rand(size)
        circle = torch.tensor(radii)[y, None] * torch.stack((angle.cos(), angle.sin()), 1)
        return Split(circle + noise * torch.randn(size, 2), y)

    return drawn("rings", sizes, draw)


def labels(sizes: Sequence[int], radii: Sequence[float], noise: float) -> Event:
    """Returns the event of y, the ring."""
    _check(radii, noise)
    return Event((), "categorical", len(radii))


def log_density(x: Tensor, radii: Sequence[float], noise: float) -> Tensor:
    """Returns log p(x) in nats, [batch]."""
    distance, r = x.norm(dim=1, keepdim=True) / noise, x.new_tensor(radii) / noise
    of_rings = torch.special.i0e(distance * r).log() - (distance - r).square() / 2
    return of_rings.logsumexp(1) - math.log(math.tau * noise**2 * len(radii))


def _check(radii: Sequence[float], noise: float) -> None:
    """Raises Mistake if a setting is out of range."""
    if not radii or min(radii) < 0:
        raise Mistake(f"`dataset.radii` must be numbers of at least 0, but is {list(radii)}")
    if not noise > 0:
        raise Mistake(f"`dataset.noise` must be above 0, but is {noise}")
