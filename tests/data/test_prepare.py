"""Binarisation, pixel order and the checks, on data small enough to see through."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmrun.data.binarise import binarised
from dgmrun.data.check import check, inside
from dgmrun.data.prepare import prepare
from dgmrun.data.splits import Split, Splits, cut, sha256
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

GREY = Event((1, 2, 2), "unit")


def grey_levels(rows: int = 30) -> Splits:
    x = torch.arange(rows * 4).reshape(rows, 1, 2, 2) / (rows * 4 - 1)
    return cut(x, torch.arange(rows) % 3, [rows - 20, 10, 10])


def ready(splits: Splits, **changes: object) -> Splits:
    settings = {"event": GREY, "labels": None, "binarisation": "none", "transform": "none", "pixel_order": None}
    return prepare(splits, **(settings | changes)).splits


@pytest.mark.parametrize(
    ("kind", "binarisation", "seen"),
    [
        ("binary", "fixed", "binary"),
        ("binary", "none", "binary"),
        ("unit", "threshold", "binary"),
        ("unit", "dynamic", "binary"),
        ("unit", "none", "unit"),
        ("real", "none", "real"),
    ],
)
def test_binarised_says_what_the_model_sees(kind: str, binarisation: str, seen: str) -> None:
    assert binarised(Event((3,), kind), binarisation) == Event((3,), seen)


@pytest.mark.parametrize(
    ("kind", "binarisation", "fitting"),
    [
        ("unit", "fixed", "threshold or dynamic or none"),
        ("real", "threshold", "none"),
        ("counts", "dynamic", "none"),
        ("binary", "dynamic", "fixed or none"),
        ("unit", "static", "threshold or dynamic or none"),
    ],
)
def test_binarised_refuses_what_makes_no_sense(kind: str, binarisation: str, fitting: str) -> None:
    message = f"`dataset.binarisation` must be {fitting} for {kind} data, but is {binarisation}"
    with pytest.raises(Mistake, match=message):
        binarised(Event((3,), kind), binarisation)


def test_threshold_is_at_one_half() -> None:
    x = torch.tensor([0.0, 0.499, 0.5, 1.0]).reshape(1, 1, 2, 2)
    splits = {name: Split(x.roll(shift)) for shift, name in enumerate(("train", "valid", "test"))}
    assert ready(splits, binarisation="threshold")["train"].x.flatten().tolist() == [0, 0, 1, 1]


def test_dynamic_keeps_grey_levels_to_train_on_and_draws_the_others_once() -> None:
    splits, state = grey_levels(), torch.get_rng_state()
    first = ready(splits, binarisation="dynamic")
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    again = ready(splits, binarisation="dynamic")
    assert torch.equal(first["train"].x, splits["train"].x)
    for name in ("valid", "test"):
        assert torch.equal(first[name].x, again[name].x)
        assert inside(first[name].x, Event((1, 2, 2), "binary"))


def test_dynamic_draws_ones_as_often_as_the_grey_level_says() -> None:
    n = 100_000
    x = torch.tensor([0.0, 0.2, 0.9, 1.0]).expand(n, 4)
    splits = {"train": Split(x[:1]), "valid": Split(x[:2]), "test": Split(x)}
    mean = ready(splits, event=Event((4,), "unit"), binarisation="dynamic")["test"].x.double().mean(0)
    standard_error = (x[0] * (1 - x[0]) / n).sqrt()
    assert ((mean - x[0]).abs() <= 4 * standard_error).all()


def test_pixel_order_transposes_the_same_draws() -> None:
    by_row = ready(grey_levels(), binarisation="dynamic", pixel_order="row")
    by_column = ready(grey_levels(), binarisation="dynamic", pixel_order="column")
    for name, split in by_row.items():
        assert torch.equal(by_column[name].x, split.x.transpose(-1, -2))


@pytest.mark.parametrize("shape", [(4,), (1, 1, 4)])
def test_pixel_order_column_is_for_square_pictures(shape: tuple[int, ...]) -> None:
    splits = {name: Split(split.x.reshape(-1, *shape)) for name, split in grey_levels().items()}
    with pytest.raises(Mistake, match=r"`dataset.pixel_order` must be row or null"):
        ready(splits, event=Event(shape, "unit"), pixel_order="column")


def test_an_unknown_pixel_order_is_refused() -> None:
    with pytest.raises(Mistake, match="must be row, column or null, but is columns"):
        ready(grey_levels(), pixel_order="columns")


@pytest.mark.parametrize(
    ("values", "event", "held"),
    [
        ([0, 1], Event((), "binary"), True),
        ([0, 0.5], Event((), "binary"), False),
        ([0, 2], Event((), "binary"), False),
        ([0, 0.5], Event((), "unit"), True),
        ([0, 1.5], Event((), "unit"), False),
        ([-0.1, 1], Event((), "unit"), False),
        ([0, 700], Event((), "counts"), True),
        ([-1, 2], Event((), "counts"), False),
        ([0, 1.5], Event((), "counts"), False),
        ([-3.5, 7], Event((), "real"), True),
        ([0, float("nan")], Event((), "real"), False),
        ([0, float("inf")], Event((), "real"), False),
        ([0, 9], Event((), "categorical", 10), True),
        ([0, 10], Event((), "categorical", 10), False),
        ([0, 255], Event((), "levels", 256), True),
        ([0, 256], Event((), "levels", 256), False),
        ([0, 4], Event((), "tokens", 5), True),
        ([0, 5], Event((), "tokens", 5), False),
    ],
)
def test_inside_knows_every_kind(values: list[float], event: Event, held: bool) -> None:
    assert inside(torch.tensor(values), event) is held


@pytest.mark.parametrize(
    ("kind", "size", "said"),
    [
        ("binray", None, r"`event.kind` must be one of binary, .* but is binray"),
        ("categorical(256)", None, r"`event.kind` must be one of binary, .* but is categorical\(256\)"),
        ("categorical", None, "`event.size` must be a whole number above 0 for categorical data, but is None"),
        ("levels", 0, "`event.size` must be a whole number above 0 for levels data, but is 0"),
        ("tokens", True, "`event.size` must be a whole number above 0 for tokens data, but is True"),
        ("binary", 2, "`event.size` must be null for binary data, but is 2"),
    ],
)
def test_an_event_that_cannot_be_is_refused(kind: str, size: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Event((), kind, size)


def test_greys_under_a_bernoulli_likelihood_are_refused() -> None:
    with pytest.raises(Mistake, match=r"a Bernoulli likelihood needs binary data: `dataset.binarisation`"):
        check(grey_levels(), Event((1, 2, 2), "binary"))


def test_labels_are_checked_against_their_event() -> None:
    check(grey_levels(), GREY, Event((), "categorical", 3))
    with pytest.raises(Mistake, match=r"`dataset.labels` must hold every value"):
        check(grey_levels(), GREY, Event((), "categorical", 2))
    unlabelled = {name: Split(split.x) for name, split in grey_levels().items()}
    with pytest.raises(Mistake, match=r"`dataset.labels` must be null without labels"):
        check(unlabelled, GREY, Event((), "categorical", 3))


def test_a_split_that_serves_twice_is_refused_unless_it_is_the_population() -> None:
    x = grey_levels()["train"].x
    twice = {"train": Split(x), "valid": Split(x.clone()), "test": Split(1 - x)}
    with pytest.raises(Mistake, match="two are the same"):
        check(twice, GREY)
    check(dict.fromkeys(("train", "valid", "test"), Split(x, population=True)), GREY)


def test_sha256_is_of_the_entries_in_row_major_order() -> None:
    x: Tensor = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    assert sha256(x) == "17e88db187afd62c16e5debf3e6527cd006bc012bc90b51a810cd80c2d511f43"
    assert sha256(x.T.contiguous().T) == sha256(x) != sha256(x.T)
