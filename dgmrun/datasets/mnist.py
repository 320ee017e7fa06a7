"""MNIST: 70,000 images of handwritten digits, 28 x 28 grey levels.

LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition
(http://yann.lecun.com/exdb/mnist), in torchvision's folder layout. The checksums are of the decompressed files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dgmrun.data.files import read
from dgmrun.data.splits import Splits, cut

URL = "https://ossci-datasets.s3.amazonaws.com/mnist"
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28], grey levels / 255, and the digit y; valid is the last 10,000 of the training images."""
    train_x, train_y, test_x, test_y = (_read(data_dir, name) for name in SHA256)
    x = torch.cat((train_x, test_x)).unsqueeze(1) / 255
    return cut(x, torch.cat((train_y, test_y)).long(), [50_000, 10_000, 10_000])


def _read(data_dir: Path, name: str) -> Tensor:
    """Reads an IDX file: four bytes, the last the number of axes; their sizes as big-endian int32; the entries."""
    places = (f"MNIST/raw/{name}.gz", f"MNIST/raw/{name}")
    content = read(data_dir, places, f"{URL}/{name}.gz", SHA256[name])
    sizes = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return torch.tensor(np.frombuffer(content, np.uint8, offset=4 + sizes.nbytes).reshape(sizes))
