"""MINIBOONE: electron neutrinos in a detector, as prepared by Papamakarios et al. 2017.

Of the signals of the original, 11 that were no measurements and 7 attributes whose smallest value occurs more than
five times are left out in the file.

Roe, Yang, Zhu, Liu, Stancu and McGregor 2005, Boosted decision trees as an alternative to artificial neural networks
for particle identification, https://doi.org/10.24432/C5QC87.
"""

from __future__ import annotations

from pathlib import Path

from dgmrun.data.placed import Placed, array, splits, standardised
from dgmrun.data.splits import Splits

SIZES, ATTRIBUTES = [29_556, 3_284, 3_648], 43


def load(data_dir: Path) -> Splits:
    """Loads x [N, 43], standardised over train and valid."""
    x = Placed(data_dir, "miniboone/data.npy").read(array, sum(SIZES), ATTRIBUTES)
    return splits(standardised(x, sum(SIZES[:2])), SIZES)
