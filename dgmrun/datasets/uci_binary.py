"""Binary tables that serve as benchmarks of autoregressive models, in the splits of Larochelle and Murray 2011.

The files are those of Germain, Gregor, Murray and Larochelle 2015, MADE (https://github.com/mgermain/MADE).
"""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from dgmrun.data.files import read
from dgmrun.data.splits import SPLITS, Split, Splits
from dgmrun.errors import Mistake

URL = "https://raw.githubusercontent.com/mgermain/MADE/514849eb9451311c02049f9e2d9a17fac589996a/datasets"


def load(data_dir: Path, table: str, sha256: str) -> Splits:
    """Loads x [N, D].

    Args:
        data_dir: folder of all datasets.
        table: name of the file, without `.npz`.
        sha256: SHA-256 of the file.

    Raises:
        Mistake: `table` is not a plain name, and could point outside the folder.
    """
    if not re.fullmatch(r"[\w-]+", table):
        raise Mistake(f"`dataset.table` must be the name of a file without its ending, but is {table}")
    name = f"{table}.npz"
    content = read(data_dir, (f"uci_binary/{name}", name), f"{URL}/{name}", sha256)
    with warnings.catch_warnings(), np.load(BytesIO(content), allow_pickle=False) as arrays:
        warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required additional header parsing")
        return {split: Split(torch.tensor(arrays[f"{split}_data"]).to(torch.uint8)) for split in SPLITS}
