"""POWER: consumption of a household, minute by minute over four years, as prepared by Papamakarios et al. 2017.

Of the eight columns, global reactive power and global intensity are left out. Left are the active power, the voltage,
three sub-meters and the minute of the day. To the first five uniform noise is added, as wide as their last digit:
0.001, 0.01 and 1. The authors' seed shuffles the rows and draws the noise.

Hébrail and Bérard 2006, https://doi.org/10.24432/C58K54.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgmrun.data.placed import Placed, array, splits, standardised
from dgmrun.data.splits import Splits

SIZES = [1_659_917, 184_435, 204_928]
COLUMNS, KEPT = 8, [0, 2, 4, 5, 6, 7]


def load(data_dir: Path) -> Splits:
    """Loads x [N, 6], standardised over train and valid."""
    rows = Placed(data_dir, "power/data.npy").read(array, sum(SIZES), COLUMNS)
    random = np.random.RandomState(42)
    x = rows[random.permutation(len(rows))][:, KEPT]
    voltage, active, meters = (random.rand(len(x), columns) for columns in (1, 1, 3))
    x[:, :5] += np.hstack((0.001 * active, 0.01 * voltage, meters))
    return splits(standardised(x, sum(SIZES[:2])), SIZES)
