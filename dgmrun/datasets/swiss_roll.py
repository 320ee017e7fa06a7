"""A spiral in the plane with Gaussian noise: two coordinates of scikit-learn's `make_swiss_roll`.

Scaled as by Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017, Improved training of Wasserstein GANs
(https://github.com/igul222/improved_wgan_training, gan_toy.py): coordinates, noise included, are divided by 7.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn, random_state
from dgmrun.errors import Mistake

SCALE = 7.5


def load(data_dir: Path, sizes: Sequence[int], noise: float) -> Splits:
    """Draws x [N, 2].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        noise: standard deviation of the noise added to each coordinate, before the division.
    """
    from sklearn.datasets import make_swiss_roll

    if noise < 0:
        raise Mistake(f"`dataset.noise` must not be negative, but is {noise}")

    def draw(size: int) -> Split:
        x, _ = make_swiss_roll(size, noise=noise, random_state=random_state())
        return Split(torch.tensor(x[:, [0, 2]] / SCALE, dtype=torch.float32))

    return drawn("swiss_roll", sizes, draw)
