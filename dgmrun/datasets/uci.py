"""Tables of real numbers from the UCI repository, prepared as for RNADE, in ten folds.

Uria, Murray and Larochelle 2013 leave out discrete attributes and one of each pair whose correlation is above 0.98 in
absolute value, and standardise by the mean and the standard deviation of the training rows. Here an attribute of fewer
than 50 values is discrete, and the earlier of a pair is left out, which leaves as many attributes of each table as they
have.
"""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import numpy
import torch

from dgmrun.data.files import read
from dgmrun.data.splits import Splits, cut
from dgmrun.errors import Mistake
from dgmrun.rng import seeded

FEWEST, ALIKE, FOLDS = 50, 0.98, 10


def load(data_dir: Path, table: str, url: str, sha256: str, fold: int) -> Splits:
    """Loads x [N, D] float64: a tenth of the rows are test, and a tenth of the others valid.

    Args:
        data_dir: folder of all datasets.
        table: name of the file.
        url: where it is published.
        sha256: SHA-256 of the file.
        fold: which tenth is test, 0 to 9.

    Raises:
        Mistake: `table` is not a plain name, or there is no such fold.
    """
    if not re.fullmatch(r"[\w-]+\.\w+", table):
        raise Mistake(f"`dataset.table` must be the name of a file, but is {table}")
    if not 0 <= fold < FOLDS:
        raise Mistake(f"`dataset.fold` must be from 0 to {FOLDS - 1}, but is {fold}")
    rows = _numbers(read(data_dir, (f"uci/{table}", table), url, sha256).decode())
    with seeded(0, "split"):
        rows = rows[torch.randperm(len(rows)).numpy()]
    test = numpy.arange(len(rows)) % FOLDS == fold
    others = rows[~test]
    held_out = len(others) // FOLDS
    train = others[held_out:]
    kept = _kept(train)
    ordered = numpy.concatenate((train, others[:held_out], rows[test]))[:, kept]
    x = (ordered - train[:, kept].mean(0)) / train[:, kept].std(0)
    return cut(torch.from_numpy(x), None, [len(train), held_out, int(test.sum())])


def division(table: str, url: str, sha256: str, fold: int) -> str:
    """Says which fold is test."""
    return f"fold {fold}"


def _numbers(text: str) -> numpy.ndarray:
    """Returns the columns of numbers, [N, columns], without a heading."""
    x = numpy.genfromtxt(StringIO(text), float, comments=None, delimiter="," if "," in text else None)  # type: ignore[call-overload]
    x = x[~numpy.isnan(x).all(1)]
    return x[:, ~numpy.isnan(x).any(0)]


def _kept(x: numpy.ndarray) -> list[int]:
    """Returns the columns that are neither discrete nor too much like a later one."""
    real = [column for column in range(x.shape[1]) if len(numpy.unique(x[:, column])) >= FEWEST]
    alike = numpy.abs(numpy.corrcoef(x[:, real].T)) > ALIKE
    return [column for place, column in enumerate(real) if not alike[place, place + 1 :].any()]
