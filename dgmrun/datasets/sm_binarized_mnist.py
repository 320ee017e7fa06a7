"""MNIST as binarised by Salakhutdinov and Murray, on which their published RBMs were trained.

Salakhutdinov and Murray 2008, On the quantitative analysis of deep belief networks; the file of Papamakarios
and Murray 2015, Distilling intractable generative models
(https://github.com/gpapamak/distilling_intractable_generative_models).
Its training images are those of binarized_mnist, train and valid together; its test images are binarised by another
draw. The published RBMs order the pixels by column, hence `pixel_order: column`.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from dgmrun.data.files import read
from dgmrun.data.splits import Splits, cut

NAME = "randomly_binarized_mnist.mat"
URL = (
    "https://raw.githubusercontent.com/gpapamak/distilling_intractable_generative_models/"
    f"eeac81861ee1c89cf254fd302303363bebfb1a27/outdir/{NAME}"
)
SHA256 = "de1a93505c4561bbc3e3e2fbb6d911e31fb0e840bcea5f7c010848fba7d4f89a"


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28]; valid is the last 10,000 of the 60,000 training images."""
    from scipy.io import loadmat

    arrays = loadmat(BytesIO(read(data_dir, (f"rbm_mnist/{NAME}", NAME), URL, SHA256)))
    columns = np.concatenate((arrays["x_trn"], arrays["x_tst"]), axis=1)
    x = torch.tensor(columns.T.reshape(-1, 1, 28, 28)).transpose(-1, -2).contiguous()
    return cut(x, None, [50_000, 10_000, 10_000])
