"""Handwritten digits of 8 x 8 pixels, bundled with scikit-learn, so that no download is needed.

The test part of Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998,
https://doi.org/10.24432/C50P49): 1797 images, each pixel a count from 0 to 16.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

from dgmrun.data.splits import Splits, cut

FILE = "datasets/data/digits.csv.gz"
"""Where scikit-learn keeps them: to read it takes less time than to import that."""


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 8, 8], grey levels count / 16, and the digit y; 1197, 300 and 300 rows in file order."""
    rows = torch.from_numpy(_rows())
    x = rows[:, :-1].float().view(-1, 1, 8, 8) / 16
    return cut(x, rows[:, -1].long(), [1197, 300, 300])


def _rows() -> numpy.ndarray:
    """Returns 64 counts and the digit of each image, [1797, 65]."""
    found = find_spec("sklearn")
    if found and found.origin and (file := Path(found.origin).parent / FILE).exists():
        return numpy.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    return numpy.column_stack(load_digits(return_X_y=True))
