"""Bars and stripes: images of n x n pixels whose rows are all equal, or whose columns are.

MacKay 2003, Information Theory, Inference, and Learning Algorithms, chapter 43. There are 2^(n+1) - 2 patterns,
here equally likely, so that no model has a mean log-likelihood above -log(2^(n+1) - 2) nats.
"""

from __future__ import annotations

from pathlib import Path

import torch

from dgmrun.data.splits import SPLITS, Split, Splits
from dgmrun.errors import Mistake


def load(data_dir: Path, side: int) -> Splits:
    """Returns x [2^(n+1) - 2, 1, n, n], every pattern once; train, valid and test are all this population.

    Args:
        data_dir: unused.
        side: number of pixels n of each side, 1 to 16.
    """
    if not 1 <= side <= 16:
        raise Mistake(f"`dataset.side` must be from 1 to 16, but is {side}")
    lines = torch.arange(2**side)[:, None] >> torch.arange(side) & 1
    bars = lines[:, None, None, :].expand(-1, 1, side, side)
    stripes = bars[1:-1].transpose(-1, -2)
    return dict.fromkeys(SPLITS, Split(torch.cat((bars, stripes)).to(torch.uint8), population=True))
