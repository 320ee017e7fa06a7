"""Equally weighted mixtures of isotropic Gaussians in the plane, for counting the modes that a GAN drops.

As in Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, Improved training of Wasserstein GANs
(https://github.com/igul222/improved_wgan_training, gan_toy.py):

- 8 modes on a circle of radius 2, standard deviation 0.02, all divided by 1.414.
- 25 modes on the grid {-4, -2, 0, 2, 4}^2, standard deviation 0.05, all divided by 2.828.

With modes so close that a Gaussian fitted to one still receives gradients from the other, as in Theis, van den Oord and
Bethge 2016, A note on the evaluation of generative models (https://arxiv.org/abs/1511.01844, figure 1):

- 2 modes at distance 2.829, standard deviation 0.25.
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
from dgmrun.protocols.values import Event, Modes

STANDARD_DEVIATION = {2: 0.25, 8: 0.02 / 1.414, 25: 0.05 / 2.828}


def load(data_dir: Path, sizes: Sequence[int], modes: int) -> Splits:
    """Draws x [N, 2], and y, the index of its mode.

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        modes: number of modes: 2, 8 or 25.
    """
    centres, deviation = mode_centres(modes), STANDARD_DEVIATION[modes]

    def draw(size: int) -> Split:
        y = torch.randint(modes, (size,))
        return Split(centres[y] + deviation * torch.randn(size, 2), y)

    return drawn("gaussians", sizes, draw)


def labels(sizes: Sequence[int], modes: int) -> Event:
    """Returns the event of y, the index of the mode."""
    return Event((), "categorical", len(mode_centres(modes)))


def known_modes(sizes: Sequence[int], modes: int) -> Modes:
    """Returns the modes, each with a radius of three standard deviations.

    Source: Lin, Khetan, Fanti and Oh (2018), PacGAN, https://arxiv.org/abs/1712.04086, section 4.1.
    """
    return Modes(mode_centres(modes), 3 * STANDARD_DEVIATION[modes])


def mode_centres(modes: int) -> Tensor:
    """Returns the means [modes, 2] of 2, 8 or 25 components.

    Raises:
        Mistake: `modes` is another number.
    """
    if modes not in STANDARD_DEVIATION:
        raise Mistake(f"`dataset.modes` must be 2, 8 or 25, but is {modes}")
    if modes < 25:
        angle = torch.arange(modes) * (2 * math.pi / modes)
        return 2 / 1.414 * torch.stack((angle.cos(), angle.sin()), dim=1)
    steps = torch.arange(-2.0, 3.0) * (2 / 2.828)
    return torch.cartesian_prod(steps, steps)
