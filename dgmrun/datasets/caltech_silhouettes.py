"""Caltech 101 Silhouettes: filled outlines of objects of 101 classes, 28 x 28 binary pixels.

Marlin, Swersky, Chen and de Freitas 2010, Inductive principles for restricted Boltzmann machine learning
(https://people.cs.umass.edu/~marlin/data.shtml), in the published splits. As in the file, 0 is the object and 1 the
background; the file stores pixels in column-major order.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from dgmrun.data.files import read
from dgmrun.data.splits import Split, Splits

NAME = "caltech101_silhouettes_28_split1.mat"
URL = f"https://people.cs.umass.edu/~marlin/data/{NAME}"
SHA256 = "eb6735e8d84b1850fabc5590124aab1755e90c9fd28123585324398405e1e42a"
NAMES = {"train": "train", "valid": "val", "test": "test"}


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28], 4,100, 2,264 and 2,307 rows, and the class y of the object, 0 to 100."""
    from scipy.io import loadmat

    arrays = loadmat(BytesIO(read(data_dir, (f"caltech101_silhouettes/{NAME}", NAME), URL, SHA256)))
    return {split: _split(arrays, name) for split, name in NAMES.items()}


def _split(arrays: dict[str, Any], name: str) -> Split:
    columns = torch.tensor(arrays[f"{name}_data"]).reshape(-1, 1, 28, 28)
    labels = torch.tensor(arrays[f"{name}_labels"]).flatten().long()
    return Split(columns.transpose(-1, -2).contiguous(), labels - 1)
