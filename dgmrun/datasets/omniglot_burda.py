"""OMNIGLOT as downscaled by Burda, Grosse and Salakhutdinov, 28 x 28 grey levels: the version used in publications.

Burda, Grosse and Salakhutdinov 2016, Importance weighted autoencoders (https://github.com/yburda/iwae). The checksum
is git's blob hash of the file. The file stores pixels in column-major order.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmrun.data.files import read
from dgmrun.data.splits import Splits, cut

NAME = "chardata.mat"
URL = f"https://raw.githubusercontent.com/yburda/iwae/78a6075484bd7dd6f47a4bb9880d2295bc7a5220/datasets/OMNIGLOT/{NAME}"
BLOB = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
SHUFFLE_SEED, HELD_OUT = 123, 1345
"""Values from the authors' code."""


def load(data_dir: Path) -> Splits:
    """Loads x [N, 1, 28, 28], 1 is ink; valid is the last 1,345 of the 24,345 training images in the authors' order."""
    from scipy.io import loadmat

    arrays = loadmat(BytesIO(read(data_dir, (f"omniglot/{NAME}", NAME), URL, BLOB, _git_blob)))
    learnt, test = (_upright(arrays[name]) for name in ("data", "testdata"))
    learnt = learnt[torch.tensor(np.random.RandomState(SHUFFLE_SEED).permutation(len(learnt)))]
    return cut(torch.cat((learnt, test)), None, [len(learnt) - HELD_OUT, HELD_OUT, len(test)])


def _upright(columns: NDArray[np.float64]) -> Tensor:
    """Returns images [N, 1, 28, 28] from a matrix [784, N]."""
    pictures = torch.tensor(columns.T, dtype=torch.float32).reshape(-1, 1, 28, 28)
    return pictures.transpose(-1, -2).contiguous()


def _git_blob(content: bytes) -> str:
    """Returns git's blob hash of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
