"""Doubts about data, where there is cause for them and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmrun.data.doubts import doubts
from dgmrun.data.splits import Split, cut

REALS = torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TWINS = torch.cat([REALS[:, :2], 2 * REALS[:, :1] - 1], 1)


def of(x: Tensor, is_density: bool = True, is_rounded: bool = True) -> list[str]:
    return doubts(cut(x, None, [200, 50, 50]), is_density, is_rounded)


def test_data_of_full_rank_whose_values_differ_raise_none() -> None:
    assert of(REALS) == []


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (TWINS, ["train lies in 2 of 3 dimensions: a density can grow without bound"]),
        (REALS.repeat(1, 100)[:, :250], ["train has 200 examples of 250 dimensions: a density can grow without bound"]),
        (
            torch.cat([REALS[:, :2], (20 * REALS[:, 2:]).round()], 1),
            ["most values of 1 of 3 dimensions occur more than once: a density can grow without bound"],
        ),
        (
            REALS + torch.tensor([1e9, 0, 0]),
            [
                "numbers of 1 of 3 dimensions are too far from 0 for float32: "
                "dataset.transform=standardise keeps them apart"
            ],
        ),
    ],
)
def test_what_has_no_bounded_density_or_no_room_in_float32(x: Tensor, said: list[str]) -> None:
    assert of(x) == said
    assert of(x, is_density=False) == []


def test_examples_that_splits_share_are_counted() -> None:
    splits = {"train": Split(REALS[:100]), "valid": Split(REALS[90:120]), "test": Split(REALS[119:130])}
    assert doubts(splits, is_density=False, is_rounded=False) == [
        "10 of 30 valid examples are in train, too",
        "1 of 11 test examples are in valid, too",
    ]
    whole = Split(REALS, population=True)
    assert doubts({"train": whole, "valid": whole, "test": whole}, is_density=False, is_rounded=False) == []
