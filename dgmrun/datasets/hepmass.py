"""HEPMASS: collisions that make a particle of mass 1000, in simulation, as prepared by Papamakarios et al. 2017.

Collisions that make none are left out, and so are the features whose smallest value occurs more than five times in
train and valid: they are discrete.

Baldi, Cranmer, Faucett, Sadowski and Whiteson 2016, Parameterized machine learning for high-energy physics,
https://doi.org/10.24432/C5PP5W.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgmrun.data.placed import Numbers, Placed, splits, standardised
from dgmrun.data.splits import Splits

SIZES = [315_123, 35_013, 174_987]
FEATURES, OFTEN = 27, 5


def load(data_dir: Path) -> Splits:
    """Loads x [N, 21], standardised over train and valid."""
    train, test = (Placed(data_dir, f"hepmass/1000_{name}.csv") for name in ("train", "test"))
    learnt = train.read(_signals, sum(SIZES[:2]), FEATURES)
    repeats = (learnt == learnt.min(0)).sum(0)
    x = np.concatenate((learnt, test.read(_signals, SIZES[2], FEATURES)))[:, repeats <= OFTEN]
    return splits(standardised(x, len(learnt)), SIZES)


def _signals(path: Path) -> Numbers:
    """Reads the features of collisions of class 1; in the file of test a column without a heading follows them."""
    columns = range(1 + FEATURES)
    rows = np.loadtxt(path, dtype=np.float32, delimiter=",", comments=None, skiprows=1, usecols=columns)
    return rows[rows[:, 0] == 1, 1:]
