"""Train, valid and test splits of a dataset, as tensors.

A dataset is one file in `dgmrun/datasets`, with a function `load(data_dir, **its own settings) -> Splits`, and one
YAML. It knows neither batches nor models. Images are [N, channels, height, width] and upright.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmrun.protocols.sparse import as_bytes
from dgmrun.rng import seeded

SPLITS = ("train", "valid", "test")
SPELLINGS = {
    **{split: split for split in SPLITS},
    "training": "train",
    **dict.fromkeys(("val", "validation", "validate", "dev", "eval", "evaluation"), "valid"),
    **dict.fromkeys(("testing", "holdout"), "test"),
}
"""Usual names of the splits."""
BESIDE = {"set", "split", "data", "images", "image", "imgs", "img", "pictures", "photos"}
"""Words beside such a name that do not make it another."""


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Args:
        x: examples [N, *event.shape]: uint8 if binary, float64 if a file has real numbers or counts, int64 if words,
            float32 otherwise; grey levels lie in [0, 1]. Counts may be whole numbers in compressed sparse rows.
        y: labels [N, *labels.shape], int64 if they are classes or captions, if there are any.
        population: whether `x` is the whole population, so that all splits may be identical.
        column: name of a dimension of x, by its number.
        key: the same as `dataset.drop` takes it, if x is a table.
        empty: number of examples of which nothing is left, and which are no part of x.
        words: word of each number, if x is words.
    """

    x: Tensor
    y: Tensor | None = None
    population: bool = False
    column: Callable[[int], str] = "dimension {} (from 0)".format
    key: Callable[[int], str] | None = None
    empty: int = 0
    words: Sequence[str] = ()


Splits = dict[str, Split]


def cut(x: Tensor, y: Tensor | None, sizes: list[int]) -> Splits:
    """Cuts rows into splits: the first sizes[0] are train, the next sizes[1] valid, the last sizes[2] test."""
    examples = torch.split(x, sizes)
    labels: Sequence[Tensor | None] = [None] * len(sizes) if y is None else torch.split(y, sizes)
    return {name: Split(*rows) for name, rows in zip(SPLITS, zip(examples, labels, strict=True), strict=True)}


def places(rows: int) -> Sequence[Tensor]:
    """Returns the rows of train, valid and test: 80, 10 and 10 % of a permutation that is the same for every run."""
    held_out = max(1, rows // 10)
    with seeded(0, "split"):
        return torch.split(torch.randperm(rows), [rows - 2 * held_out, held_out, held_out])


def without_valid(train: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts 10 % of the rows of train off for valid: a choice that is the same for every run."""
    held_out = max(1, len(train) // 10)
    with seeded(0, "split"):
        order = train[torch.randperm(len(train))]
    return order[held_out:], order[:held_out]


def split_named(name: str) -> str | None:
    """Returns the split of this name, in any usual spelling, such as val2017 and 1_train; None if it names none."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    return SPELLINGS.get(words[0]) if words and {*words[1:]} <= BESIDE else None


def sha256(x: Tensor) -> str:
    """Returns the SHA-256 of the entries of `x`, one example after another: figures are comparable if theirs agree."""
    found = hashlib.sha256()
    for row in as_bytes(x):
        found.update(row)
    return found.hexdigest()
