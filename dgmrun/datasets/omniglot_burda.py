"""OMNIGLOT as Burda, Grosse and Salakhutdinov shrank it, 28 x 28 grey levels: what published likelihoods are of.

Burda, Grosse and Salakhutdinov 2016, Importance weighted autoencoders (https://github.com/yburda/iwae). The checksum
is the name that git gives to the file's content. The file's pixels run down the columns.
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
"""Of the authors' code."""


def load(data_dir: Path) -> Splits:
    """x [N, 1, 28, 28], 1 is ink; the last 1,345 of the 24,345 to train on, as the authors shuffle them, are valid."""
    from scipy.io import loadmat

    arrays = loadmat(BytesIO(read(data_dir, (f"omniglot/{NAME}", NAME), URL, BLOB, _git_blob)))
    learnt, test = (_upright(arrays[name]) for name in ("data", "testdata"))
    learnt = learnt[torch.tensor(np.random.RandomState(SHUFFLE_SEED).permutation(len(learnt)))]
    return cut(torch.cat((learnt, test)), None, [len(learnt) - HELD_OUT, HELD_OUT, len(test)])


def _upright(columns: NDArray[np.float64]) -> Tensor:
    """Pictures [N, 1, 28, 28] of a matrix [784, N]."""
    pictures = torch.tensor(columns.T, dtype=torch.float32).reshape(-1, 1, 28, 28)
    return pictures.transpose(-1, -2).contiguous()


def _git_blob(content: bytes) -> str:
    """The checksum by which git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
