"""BSDS300: grey patches of 8 x 8 pixels of photographs, as prepared by Papamakarios et al. 2017.

Uniform noise is added within the grey levels, which are divided by 256; the mean of each patch is taken off, and its
last pixel left out, which the others then determine.

Martin, Fowlkes, Tal and Malik 2001, A database of human segmented natural images; patches as by Zoran and Weiss 2011.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgmrun.data.placed import Numbers, Placed, splits
from dgmrun.data.splits import Splits

SIZES, PIXELS = [1_000_000, 50_000, 250_000], 63


def load(data_dir: Path) -> Splits:
    """Loads x [N, 63]."""
    return splits(Placed(data_dir, "BSDS300/BSDS300.hdf5").read(_patches, sum(SIZES), PIXELS), SIZES)


def _patches(path: Path) -> Numbers:
    import h5py

    with h5py.File(path, "r") as file:
        return np.concatenate([np.asarray(file[name], np.float32) for name in ("train", "validation", "test")])
