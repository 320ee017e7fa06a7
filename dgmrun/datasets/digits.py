"""Handwritten digits of 8 x 8 pixels, bundled with scikit-learn, so that no download is needed.

The test part of Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998,
https://doi.org/10.24432/C50P49): 1797 images, each pixel a count from 0 to 16.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dgmrun.data.splits import Splits, cut


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 8, 8], grey levels count / 16, and the digit y; 1197, 300 and 300 rows in file order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    return cut(x, torch.tensor(digits.target), [1197, 300, 300])
