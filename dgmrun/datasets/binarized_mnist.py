"""MNIST with the fixed binarisation on which log-likelihoods of binary models are published.

Larochelle and Murray 2011, The neural autoregressive distribution estimator
(http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist). The rows are not in the order of MNIST.
The checksums are of the decompressed text.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dgmrun.data.files import find, read
from dgmrun.data.splits import Split, Splits

URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist"
SHA256 = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28], 50,000, 10,000 and 10,000 rows, and the digit y if `mnist_index_derived.npz` exists."""
    labels = _labels(data_dir)
    return {split: Split(_pictures(data_dir, split), labels.get(split)) for split in SHA256}


def _pictures(data_dir: Path, split: str) -> Tensor:
    """Reads the images of a text file: each pixel is a digit followed by a space or a line feed."""
    name = f"binarized_mnist_{split}.amat"
    places = [folder + name + packing for folder in ("binarized_mnist/", "") for packing in ("", ".gz")]
    text = np.frombuffer(read(data_dir, places, f"{URL}/{name}", SHA256[split]), np.uint8)
    return torch.tensor(text[::2] - ord("0")).reshape(-1, 1, 28, 28)


def _labels(data_dir: Path) -> dict[str, Tensor]:
    path = find(data_dir, ("binarized_mnist/mnist_index_derived.npz", "mnist_index_derived.npz"))
    if path is None:
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return {split: torch.tensor(arrays[f"{split}_label"]).long() for split in SHA256}
