"""Transforms: Jacobians against autograd, scores against closed forms, noise that is drawn as it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from dgmrun.data import transform as transforms
from dgmrun.data.binarise import binarised
from dgmrun.data.prepare import Prepared, prepare
from dgmrun.data.source import InMemorySource
from dgmrun.data.splits import Splits, cut, sha256
from dgmrun.data.transform import ALPHA, TRANSFORMS, transformed
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

GREY = Event((1, 2, 3), "unit")
REAL = Event((3,), "real")
ROWS = 300
OF_LEVELS = [name for name, kind in TRANSFORMS.items() if kind.of_levels]
NOISY = [name for name, kind in TRANSFORMS.items() if kind.is_noisy]


def grey_levels() -> Splits:
    k = torch.arange(ROWS * 6).mul(7919).remainder(256).reshape(ROWS, 1, 2, 3)
    return cut(k / 255, None, [ROWS - 200, 100, 100])


def reals() -> Splits:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 3, generator=generator) * torch.tensor([1.0, 1e-3, 100.0]) + torch.tensor([0.0, 5.0, -40.0])
    return cut(x, None, [ROWS - 200, 100, 100])


def counts() -> Splits:
    return {name: replace(split, x=(split.x * 255).round().double()) for name, split in grey_levels().items()}


def ready(transform: str, **changes: Any) -> Prepared:
    others = {"standardise": (reals(), REAL), "jitter": (counts(), Event(GREY.shape, "counts"))}
    splits, event = others.get(transform, (grey_levels(), GREY))
    settings = {"event": event, "labels": None, "binarisation": "none", "pixel_order": None}
    return prepare(splits, **({"transform": transform} | settings | changes))


@pytest.mark.parametrize("transform", ["dequantise", "logit", "standardise"])
def test_log_jacobian_is_that_of_autograd(transform: str) -> None:
    data = ready(transform)
    for one in data.scored("test").flatten(1)[:10, :3].double():
        back = data.back
        original = back(one)
        jacobian = torch.autograd.functional.jacobian(lambda x, back=back: back.inv(x), original)
        assert transforms.log_jacobian(back, one[None]) == pytest.approx(float(jacobian.slogdet()[1]), rel=1e-6)


@pytest.mark.parametrize("split", ["train", "test"])
def test_uniform_levels_score_as_they_must(split: str) -> None:
    """The uniform density is 1 on what the model sees: -D ln 256 nats, 8 bits per dimension."""
    data = ready("dequantise")
    assert torch.allclose(data.log_jacobian(split), torch.tensor(-6 * math.log(256), dtype=torch.float64), rtol=1e-15)
    assert len(data.log_jacobian(split)) == 100


def test_logit_is_that_of_maf() -> None:
    y = ready("dequantise").scored("test").double()
    assert torch.allclose(ready("logit").scored("test").double(), torch.logit(ALPHA + (1 - 2 * ALPHA) * y), atol=1e-4)


def test_jittered_counts_have_no_origin() -> None:
    """Timestamps keep their noise, and are standardised with it."""
    far = {name: replace(split, x=split.x + 1.7e9) for name, split in counts().items()}
    moved = prepare(
        far,
        event=Event(GREY.shape, "counts"),
        labels=None,
        binarisation="none",
        transform="jitter",
        pixel_order=None,
    )
    here = ready("jitter")
    assert torch.allclose(moved.scored("test"), here.scored("test"), atol=1e-5)
    torch.testing.assert_close(moved.log_jacobian("test"), here.log_jacobian("test"), rtol=0, atol=1e-6)
    assert moved.scored("train").std(0, correction=0).flatten().tolist() == pytest.approx([1] * 6, rel=0.1)


def test_a_standardised_gaussian_scores_as_the_one_that_fits_the_file() -> None:
    data, x = ready("standardise"), reals()
    deviation, mean = torch.std_mean(x["train"].x.double(), dim=0, correction=0)
    assert data.scored("train").mean(0).abs().max() < 1e-4
    assert data.scored("train").std(0, correction=0).tolist() == pytest.approx([1, 1, 1], rel=1e-4)
    seen = Normal(0.0, 1.0).log_prob(data.scored("test").double()).sum(1) + data.log_jacobian("test")
    assert torch.allclose(seen, Normal(mean, deviation).log_prob(x["test"].x.double()).sum(1), rtol=1e-5)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("transform", list(TRANSFORMS))
def test_back_is_the_inverse(transform: str, split: str) -> None:
    """Levels and counts come back with their noise: k is the whole part of what comes back."""
    data, given = ready(transform), (reals() if transform == "standardise" else grey_levels())[split].x
    returned = data.back(data.scored(split))
    if transform in (*OF_LEVELS, *NOISY):
        assert torch.equal((returned - 5e-5).floor().clamp(min=0) if transform in NOISY else returned, given * 255)
    else:
        assert torch.allclose(returned, given.to(returned.dtype), rtol=1e-6)


@pytest.mark.parametrize("transform", ["none", "levels"])
def test_what_does_not_stretch_has_no_jacobian(transform: str) -> None:
    assert ready(transform).log_jacobian("test").tolist() == [0.0] * 100


def test_levels_are_whole_numbers() -> None:
    x = ready("levels").splits["train"].x
    assert x.dtype is torch.uint8
    assert torch.equal(x.float(), grey_levels()["train"].x.mul(255).round())


@pytest.mark.parametrize("transform", NOISY)
def test_noise_is_uniform_within_a_level(transform: str) -> None:
    data = ready(transform)
    u = torch.cat(
        [data.back(data.scored(split)) - grey_levels()[split].x * 255 for split in ("train", "valid", "test")]
    )
    assert -1e-3 < u.min() < u.max() < 1 + 1e-3
    assert abs(u.mean() - 0.5) <= 4 / math.sqrt(12 * u.numel())
    assert abs(u.square().mean() - 1 / 3) <= 4 * math.sqrt(4 / 45 / u.numel())


@pytest.mark.parametrize("transform", NOISY)
def test_what_is_scored_is_drawn_once_for_all(transform: str) -> None:
    first, state = ready(transform), torch.get_rng_state()
    again = ready(transform)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    for split in ("train", "valid", "test"):
        assert sha256(first.scored(split)) == sha256(again.scored(split))


@pytest.mark.parametrize("transform", NOISY)
@pytest.mark.parametrize("given", [1, 7, 13, 14])
def test_batches_are_drawn_anew_and_resume_to_the_bit(transform: str, given: int) -> None:
    def source() -> InMemorySource:
        data = ready(transform)
        return InMemorySource(data.splits["train"].x, None, 8, 1, draw=data.draw())

    def batches(of: InMemorySource) -> Iterator[Tensor]:
        """Three epochs, or what is left of them."""
        for _ in range(3):
            yield from (batch.x for batch in islice(iter(of), len(of) - of.position % len(of)))

    whole, killed, resumed = list(batches(source())), source(), source()
    assert not set(torch.cat(whole[:13]).flatten().tolist()) & set(torch.cat(whole[13:26]).flatten().tolist())
    list(islice(batches(killed), given))
    resumed.load_state_dict(killed.state_dict())
    for batch, wanted in zip(batches(resumed), whole[given:], strict=False):
        assert torch.equal(batch, wanted)


def test_standardised_pictures_are_transposed_whole() -> None:
    event = Event((1, 2, 2), "real")
    squares = {name: split.x.repeat(1, 2)[:, :4].reshape(-1, 1, 2, 2) for name, split in reals().items()}
    splits = cut(torch.cat(list(squares.values())), None, [100, 100, 100])
    by_row, by_column = (
        prepare(splits, event=event, labels=None, binarisation="none", transform="standardise", pixel_order=order)
        for order in ("row", "column")
    )
    assert torch.allclose(by_column.scored("test"), by_row.scored("test").transpose(-1, -2), rtol=1e-5)
    assert torch.allclose(by_column.log_jacobian("test"), by_row.log_jacobian("test"))
    assert torch.allclose(by_column.back(by_column.scored("test")).transpose(-1, -2).float(), splits["test"].x)


@pytest.mark.parametrize(
    ("kind", "transform", "seen"),
    [
        ("binary", "none", "binary"),
        ("unit", "none", "unit"),
        ("unit", "levels", "levels"),
        ("unit", "dequantise", "unit"),
        ("unit", "logit", "real"),
        ("unit", "standardise", "real"),
        ("real", "standardise", "real"),
    ],
)
def test_transformed_says_what_the_model_sees(kind: str, transform: str, seen: str) -> None:
    size = 256 if seen == "levels" else None
    assert transformed(Event((3,), kind), transform, "none") == Event((3,), seen, size)


@pytest.mark.parametrize(
    ("kind", "transform", "fitting"),
    [
        ("binary", "standardise", "none"),
        ("counts", "levels", "none or jitter or standardise"),
        ("real", "logit", "none or standardise"),
        ("unit", "log", "none or levels or dequantise or logit or standardise"),
    ],
)
def test_transformed_refuses_what_makes_no_sense(kind: str, transform: str, fitting: str) -> None:
    with pytest.raises(Mistake, match=f"`dataset.transform` must be {fitting} for {kind} data, but is {transform}"):
        transformed(Event((3,), kind), transform, "none")


@pytest.mark.parametrize("binarisation", ["dynamic", "threshold"])
def test_binary_data_are_not_transformed(binarisation: str) -> None:
    message = f"`dataset.transform` must be none where `dataset.binarisation` is {binarisation}, but is logit"
    with pytest.raises(Mistake, match=message) as caught:
        ready("logit", binarisation=binarisation)
    assert caught.value.hint == "dataset.binarisation=none dataset.transform=logit"


@pytest.mark.parametrize("transform", OF_LEVELS)
def test_other_fractions_are_no_levels(transform: str) -> None:
    splits = cut(torch.arange(30.0).reshape(30, 1) / 29, None, [10, 10, 10])
    with pytest.raises(Mistake, match=f"grey levels are other fractions than k / 255, but is {transform}"):
        prepare(
            splits,
            event=Event((1,), "unit"),
            labels=None,
            binarisation="none",
            transform=transform,
            pixel_order=None,
        )


def of_kind(x: Tensor, kind: str, transform: str, key: Callable[[int], str] | None = None) -> Prepared:
    splits = {name: replace(split, key=key) for name, split in cut(x, None, [10, 10, 10]).items()}
    event = Event((2,), kind)
    return prepare(splits, event=event, labels=None, binarisation="none", transform=transform, pixel_order=None)


@pytest.mark.parametrize(
    ("kind", "scale", "key", "cure"),
    [
        ("real", 1, None, "dataset.transform=none"),
        ("real", 1, "column_{}".format, "dataset.drop=[column_1]"),
        ("counts", 1, None, "dataset.transform=jitter"),
        ("unit", 1 / 255, None, "dataset.transform=logit"),
        ("unit", 1 / 29, None, None),
    ],
)
def test_a_constant_dimension_is_not_standardised_and_the_cure_cures(
    kind: str, scale: float, key: Callable[[int], str] | None, cure: str | None
) -> None:
    x = torch.stack((torch.arange(30.0), torch.full((30,), 29.0)), dim=1) * scale
    with pytest.raises(Mistake, match=r"but dimension 1 \(from 0\) is, as are 1 in all") as caught:
        of_kind(x, kind, "standardise", key)
    assert caught.value.hint == cure
    if cure is not None and "transform" in cure:
        of_kind(x, kind, cure.partition("=")[2])


@pytest.mark.parametrize(("varied", "cure"), [(True, "dataset.transform=standardise"), (False, None)])
def test_no_cure_leads_back(varied: bool, cure: str | None) -> None:
    """Fractions of 29 have no levels; a model of real numbers takes them standardised, if no dimension is constant."""
    x = torch.stack((torch.arange(30.0), 29.0 * torch.ones(30) if not varied else torch.arange(30.0)), dim=1) / 29
    with pytest.raises(Mistake, match="other fractions than k / 255, but is logit") as caught:
        of_kind(x, "unit", "logit")
    assert caught.value.hint == cure


def test_what_is_spelt_otherwise_is_suggested() -> None:
    with pytest.raises(Mistake, match=r"but is standardize \(did you mean `standardise`\?\)$"):
        transformed(Event((3,), "real"), "standardize", "none")
    with pytest.raises(Mistake, match=r"but is threshhold \(did you mean `threshold`\?\)$"):
        binarised(Event((3,), "unit"), "threshhold")
    with pytest.raises(Mistake, match="real data, but is 3"):
        transformed(Event((3,), "real"), 3, "none")  # type: ignore[arg-type]
