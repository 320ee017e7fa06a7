"""The three splits of a dataset, as tensors.

A dataset is one file of this folder, with a function `load(data_dir, **its own settings) -> Splits`, and one
YAML. It knows neither batches nor models. Its pictures are [N, channels, height, width] and upright.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmrun.rng import seeded

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """Part of a dataset.

    Args:
        x: examples [N, *event.shape], uint8 where binary, float32 otherwise; grey levels lie in [0, 1].
        y: labels [N] int64, where there are any.
        population: `x` lists every state of the distribution, so that all splits may be this same one.
    """

    x: Tensor
    y: Tensor | None = None
    population: bool = False


Splits = dict[str, Split]


def cut(x: Tensor, y: Tensor | None, sizes: list[int]) -> Splits:
    """The first sizes[0] rows to train on, the next sizes[1] to validate, the last sizes[2] to test."""
    examples = torch.split(x, sizes)
    labels: Sequence[Tensor | None] = [None] * len(sizes) if y is None else torch.split(y, sizes)
    return {name: Split(*rows) for name, rows in zip(SPLITS, zip(examples, labels, strict=True), strict=True)}


def places(rows: int) -> Sequence[Tensor]:
    """The rows of train, valid and test: a permutation, the same for every run, cut into 80, 10 and 10 %."""
    held_out = max(1, rows // 10)
    with seeded(0, "split"):
        return torch.split(torch.randperm(rows), [rows - 2 * held_out, held_out, held_out])


def sha256(x: Tensor) -> str:
    """The checksum of the entries of `x` in row-major order: two figures are comparable if theirs agree."""
    return hashlib.sha256(x.cpu().contiguous().numpy().data).hexdigest()
