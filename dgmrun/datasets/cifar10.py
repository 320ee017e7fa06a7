"""CIFAR-10: 60,000 colour photographs of 10 classes, 32 x 32 pixels.

Krizhevsky 2009, Learning multiple layers of features from tiny images (https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

from pathlib import Path

from dgmrun.data import vision
from dgmrun.data.splits import Splits

HELD_OUT = 5_000


def load(data_dir: Path) -> Splits:
    """Loads x [N, 3, 32, 32] and the class y; valid is the last 5,000 of the 50,000 training images."""
    return vision.load(data_dir, "CIFAR10", HELD_OUT)
