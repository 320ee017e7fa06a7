"""Two interleaved half circles of radius 1 in the plane, with Gaussian noise: scikit-learn's `make_moons`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn, random_state
from dgmrun.errors import Mistake


def load(data_dir: Path, sizes: Sequence[int], noise: float) -> Splits:
    """Draws x [N, 2], and y, which of the two half circles it is on.

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        noise: standard deviation of the noise added to each coordinate.
    """
    from sklearn.datasets import make_moons

    if noise < 0:
        raise Mistake(f"`dataset.noise` must not be negative, but is {noise}")

    def draw(size: int) -> Split:
        x, y = make_moons(size, noise=noise, random_state=random_state())
        return Split(torch.tensor(x, dtype=torch.float32), torch.tensor(y))

    return drawn("moons", sizes, draw)
