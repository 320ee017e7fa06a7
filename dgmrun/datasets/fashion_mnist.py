"""Fashion-MNIST: 70,000 images of clothing, 28 x 28 grey levels, in the format of MNIST.

Xiao, Rasul and Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms
(https://github.com/zalandoresearch/fashion-mnist).
"""

from __future__ import annotations

from pathlib import Path

from dgmrun.data import vision
from dgmrun.data.splits import Splits

HELD_OUT = 10_000


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28] and the class y; valid is the last 10,000 of the 60,000 training images."""
    return vision.load(data_dir, "FashionMNIST", HELD_OUT)
