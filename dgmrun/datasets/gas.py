"""GAS: 16 chemical sensors in a flow of ethylene and carbon monoxide, prepared as by Papamakarios et al. 2017.

A quarter of the moments, drawn at random, in random order; of each pair of sensors whose correlation is above 0.98 the
earlier is left out. All rows, of test too, are standardised together, as by the authors. They drew their quarter
without a seed and keep it as a pickle, which could execute anything and is not read: here the quarter is another one,
drawn from the original, so that it differs from theirs by chance alone.

Fonollosa, Sheik, Huerta and Marco 2015, https://doi.org/10.24432/C5WP4C.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dgmrun.data.placed import Numbers, Placed, splits, standardised
from dgmrun.data.splits import Splits
from dgmrun.rng import seeded

SIZES = [852_174, 94_685, 105_206]
SENSORS, ALIKE = 16, 0.98
CURE = (
    "unzip https://archive.ics.uci.edu/static/public/322/gas+sensor+array+under+dynamic+gas+mixtures.zip and put its"
    " ethylene_CO.txt into {data_dir}/{folder}"
)


def load(data_dir: Path) -> Splits:
    """Loads x [N, 8], standardised over all splits."""
    x = Placed(data_dir, "gas/ethylene_CO.txt", CURE).read(_quarter, sum(SIZES), SENSORS)
    alike = np.greater(np.corrcoef(x.T), ALIKE)
    kept = [sensor for sensor in range(SENSORS) if not alike[sensor, sensor + 1 :].any()]
    return splits(standardised(x[:, kept], len(x)), SIZES)


def _quarter(path: Path) -> Numbers:
    """Reads a quarter of the rows, without the time and the concentrations of both gases."""
    columns = range(3, 3 + SENSORS)
    rows = np.loadtxt(path, dtype=np.float32, comments=None, skiprows=1, usecols=columns)
    with seeded(0, "split"):
        return rows[torch.randperm(len(rows))[: len(rows) // 4].numpy()]
