"""Doubts about data, where there is cause for them and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions.transforms import AffineTransform, ComposeTransform

from dgmrun.data.doubts import alike, doubts
from dgmrun.data.splits import Split, cut
from dgmrun.protocols.values import Event

REALS = torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TWINS = torch.cat([REALS[:, :2], 2 * REALS[:, :1] - 1], 1)
REAL, NONE = Event((3,), "real"), ComposeTransform([])
AGAIN = "occur again and again: a density can grow without bound"


def of(x: Tensor, is_density: bool = True, back: ComposeTransform = NONE) -> list[str]:
    return doubts(cut(x, None, [200, 50, 50]), REAL, back, is_density)


def with_third(column: Tensor) -> Tensor:
    return torch.cat([REALS[:, :2], column], 1)


def test_data_of_full_rank_whose_values_differ_raise_none() -> None:
    assert of(REALS) == []


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (TWINS, "train lies in 2 of 3 dimensions: a density can grow without bound"),
        (REALS.repeat(1, 100)[:, :250], "train has 200 examples of 250 dimensions: a density can grow without bound"),
        (with_third((20 * REALS[:, 2:]).round()), f"values of 1 of 3 dimensions {AGAIN}"),
        (with_third(REALS[:, 2:].relu()), f"values of 1 of 3 dimensions {AGAIN}"),
    ],
)
def test_what_has_no_bounded_density(x: Tensor, said: str) -> None:
    assert of(x) == [said]
    assert of(x, is_density=False) == []


def test_what_has_no_room_in_float32() -> None:
    where = "values of 1 of 3 dimensions run together in float32: "
    assert of(REALS + torch.tensor([1e9, 0, 0])) == [where + "dataset.transform=standardise keeps them apart"]
    outlier = REALS.clone()
    outlier[7, 1] = 1e12
    deviation, mean = torch.std_mean(outlier[:200], 0)
    standardised = ComposeTransform([AffineTransform(mean, deviation)])
    assert of(outlier, back=standardised) == [where + "without the outliers they do not"]
    origin = ComposeTransform([AffineTransform(torch.tensor([1e9, 0, 0]).double(), 1.0)])
    assert of(REALS + torch.tensor([1e9, 0, 0]), back=origin) == []


def test_zeros_and_constants_have_room_in_float32() -> None:
    sparse = with_third((REALS[:, 2:] - 1).relu())
    constant = with_third(torch.full((300, 1), 0.1, dtype=torch.float64))
    assert [of(x, is_density=False) for x in (sparse, constant)] == [[], []]


def test_examples_that_splits_share_are_counted() -> None:
    splits = {"train": Split(REALS[:100]), "valid": Split(REALS[90:120]), "test": Split(REALS[119:130])}
    assert doubts(splits, REAL, NONE, is_density=False) == [
        "10 of 30 valid examples are in train, too",
        "1 of 11 test examples are in valid, too",
    ]
    whole = Split(REALS, population=True)
    assert doubts({"train": whole, "valid": whole, "test": whole}, REAL, NONE, is_density=False) == []


def test_that_few_bits_are_shared_is_no_surprise() -> None:
    bits = cut((REALS > 0).to(torch.uint8), None, [200, 50, 50])
    assert doubts(bits, Event((3,), "binary"), NONE, is_density=False) == []


@pytest.mark.parametrize(("nines", "is_doubted"), [(-999.0, True), (99999.0, True), (-998.0, False), (9.0, False)])
def test_nines_far_from_all_others_may_be_missing(nines: float, is_doubted: bool) -> None:
    column = REALS[:, 2:].clone()
    column[[3, 7]] = nines
    said = f"{nines:g} in dimension 2 (from 0) is far from all other values: if it stands for a missing one, "
    expected = [f"{said}leave its entry empty and dataset.missing=drop"] if is_doubted else []
    assert of(with_third(column), is_density=False) == expected


@pytest.mark.parametrize(("largest", "is_doubted"), [(2**62, True), (2**20, False)])
def test_counts_too_large_for_noise_are_doubted(largest: int, is_doubted: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(largest, (300, 3), generator=rng).double()
    deviation, mean = torch.std_mean(x, 0)
    back = ComposeTransform([AffineTransform(mean, deviation)])
    found = doubts(cut(x, None, [200, 50, 50]), Event((3,), "counts"), back, False, is_noisy=True)
    assert [doubt.partition(":")[0] for doubt in found] == is_doubted * [
        "counts of 3 of 3 dimensions are too large for float32"
    ]


def test_what_is_all_alike_is_named_with_a_cure_that_there_is() -> None:
    zeros, numbers, classes = torch.zeros(4, 2), torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    one, told = (
        torch.full((4,), 3),
        "all labels of train are 3, as the model sees them: nothing can be learned of one class",
    )
    assert alike(Split(numbers, one), True, "none") == alike(Split(numbers, classes), False, "none") == []
    assert alike(Split(numbers, one), False, "none") == [told]
    for binarisation, cure in (
        ("none", "nothing can be learned of them"),
        ("threshold", "look at dataset.binarisation"),
    ):
        assert alike(Split(zeros), True, binarisation) == [f"all values of train are 0, as the model sees them: {cure}"]
