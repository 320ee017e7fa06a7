"""Frey faces: 1965 frames of a video of one face, 28 x 20 grey levels.

The file of S. Roweis (https://cs.nyu.edu/~roweis/data.html). The checksum is of the pixels, image by image, since the
same images circulate in differently encoded files.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dgmrun.data.files import read, sha256
from dgmrun.data.splits import Splits, cut
from dgmrun.rng import seeded

NAME = "frey_rawface.mat"
URL = f"https://cs.nyu.edu/~roweis/data/{NAME}"
SHA256 = "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 20], grey levels / 255; 1565, 200 and 200 rows of a permutation, the same for every run."""
    content = read(data_dir, (f"frey_faces/{NAME}", NAME), URL, SHA256, _sha256_of_pixels)
    with seeded(0, "split"):
        x = torch.tensor(_pixels(content))[torch.randperm(1965)]
    return cut(x.reshape(-1, 1, 28, 20) / 255, None, [1565, 200, 200])


def _pixels(content: bytes) -> NDArray[np.uint8]:
    """Reads the images [1965, 560] of a MATLAB file."""
    from scipy.io import loadmat

    return np.ascontiguousarray(loadmat(BytesIO(content))["ff"].T)


def _sha256_of_pixels(content: bytes) -> str:
    try:
        return sha256(_pixels(content).tobytes())
    except Exception:  # on other formats scipy can raise anything
        return "none, as it is no MATLAB file of pictures"
