"""Precision, recall and copying against what is counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.fidelity.copying import Copying
from dgmrun.estimators.fidelity.precision import Precision
from dgmrun.estimators.fidelity.recall import Recall
from dgmrun.estimators.neighbours import nearest
from dgmrun.protocols.features import Features
from tests.estimators.features import Drawn, evidence

BOTH: Any = pytest.mark.parametrize("method", [Precision, Recall])


def test_nearest_rows_are_those_of_all_distances() -> None:
    x, among = torch.randn(7, 3, dtype=torch.float64), torch.randn(11, 3, dtype=torch.float64) + 100
    distance, which = nearest(x, among, 4)
    expected = (x[:, None] - among).square().sum(2).sqrt().sort(1)
    torch.testing.assert_close(distance, expected.values[:, :4])
    assert torch.equal(which, expected.indices[:, :4])


def test_a_row_has_no_distance_from_itself_however_far_all_are_from_0() -> None:
    x = torch.randn(5, 40, dtype=torch.float64) * 1e-4 + 1e4
    assert nearest(x, x)[0].tolist() == [[0.0]] * 5


def by_hand(centres: Tensor, y: Tensor, k: int) -> list[float]:
    """Equations 1 and 2, row by row, for distinct centres."""
    radius = [sorted(float((one - other).norm()) for other in centres)[k] for one in centres]
    inside = [any(float((row - one).norm()) <= r for one, r in zip(centres, radius, strict=True)) for row in y]
    return [float(each) for each in inside]


@pytest.mark.parametrize("k", [1, 3])
def test_shares_are_counted(k: int) -> None:
    x, y = torch.randn(12, 2, dtype=torch.float64), torch.randn(12, 2, dtype=torch.float64) * 2
    hits, estimate = Precision(k=k)(Drawn(y), evidence(x))
    assert hits.tolist() == by_hand(x, y, k)
    assert estimate.value == pytest.approx(float(hits.mean()))
    hits, _ = Recall(k=k)(Drawn(y), evidence(x))
    assert hits.tolist() == by_hand(y, x, k)


@BOTH
def test_equal_sets_have_1_and_disjoint_ones_0(method: Any) -> None:
    x = torch.randn(20, 3)
    _, same = method()(Drawn(x), evidence(x))
    _, apart = method()(Drawn(x + 1000), evidence(x))
    assert (same.value, apart.value) == (1.0, 0.0)
    assert same.interval == (pytest.approx(0.00135 ** (1 / 20)), 1.0)
    assert apart.interval == (0.0, pytest.approx(1 - 0.00135 ** (1 / 20)))


@BOTH
def test_repeated_rows_are_one(method: Any) -> None:
    """Of data that have each image 5 times, the third neighbour of an image is not the image."""
    x, y = torch.randn(30, 2), torch.randn(30, 2)
    for repeated, other in ((x.repeat(5, 1), y), (x, y.repeat(5, 1))):
        _, once = method()(Drawn(y), evidence(x))
        _, often = method(num_samples=len(other))(Drawn(other), evidence(repeated))
        assert often.value == pytest.approx(once.value)
        assert once.value > 0.3


@BOTH
def test_collapsed_samples_are_points(method: Any) -> None:
    x = torch.cat([torch.zeros(1, 2), torch.randn(9, 2)])
    _, estimate = method()(Drawn(torch.zeros(10, 2)), evidence(x))
    if method is Recall:
        assert estimate.value == 0.1
        assert "no more than `fidelity.recall.k` different rows" in estimate.warnings[0]
        assert estimate.diagnostics == {"distinct": 1}
    else:
        assert estimate.value == 1.0


@pytest.mark.slow
@BOTH
def test_errors_are_those_of_other_data(method: Any) -> None:
    """The bootstrap's is within a factor of 2 of the spread over data, and intervals of 200 figures hold their mean."""
    model, values, errors, ends = Drawn(lambda num: torch.randn(num, 2) * 1.5), [], [], []
    for _ in range(200):
        _, estimate = method()(model, evidence(torch.randn(100, 2)))
        values.append(estimate.value)
        errors.append(estimate.standard_error)
        ends.append(estimate.interval)
    mean, spread = float(torch.tensor(values).mean()), float(torch.tensor(values).std())
    assert 0.5 < float(torch.tensor(errors).mean()) / spread < 2
    assert sum(not low <= mean <= high for low, high in ends) <= 4


def test_copying_is_the_share_of_pairs_and_its_error_of_delong() -> None:
    train = torch.tensor([[0.0], [10.0]])
    unseen, samples = torch.tensor([[1.0], [12.0], [5.0]]), torch.tensor([[0.0], [11.0], [13.0]])
    own, estimate = Copying()(Drawn(samples), evidence(unseen, train))
    assert own.tolist() == [0.0, 1.0, 3.0]  # against 1, 2 and 5
    assert estimate.value == pytest.approx((3 + 2.5 + 1) / 9)
    of_own, of_unseen = torch.tensor([3, 2.5, 1]) / 3, torch.tensor([1.5, 2, 3]) / 3
    assert estimate.standard_error == pytest.approx(math.sqrt(float(of_own.var() + of_unseen.var()) / 3))
    assert estimate.diagnostics["equal"] == pytest.approx(1 / 3)
    assert estimate.diagnostics["z"] == pytest.approx((6.5 / 9 - 0.5) / math.sqrt(7 / 108))


def test_copying_of_the_truth_is_a_half_and_of_copies_1() -> None:
    train = torch.randn(50, 2)
    values = [
        Copying()(Drawn(lambda num: torch.randn(num, 2)), evidence(torch.randn(40, 2), train))[1].value
        for _ in range(100)
    ]
    found = torch.tensor(values)
    assert abs(float(found.mean()) - 0.5) < 4 * float(found.std()) / 10
    _, copies = Copying()(Drawn(train), evidence(torch.randn(50, 2), train))
    assert copies.value == 1.0
    assert copies.interval == (pytest.approx(0.00135 ** (1 / 50)), 1.0)
    assert copies.diagnostics["equal"] == 1.0


def test_copies_are_equal_to_what_a_network_rounds_otherwise_in_another_batch() -> None:
    train = torch.randn(30, 2)
    given = evidence(torch.randn(20, 2), train)
    of_batch = given._replace(features=Features(lambda x: x.double() + 1e-9 * len(x), {"features": "x"}))
    _, estimate = Copying()(Drawn(train), of_batch)
    assert estimate.diagnostics["equal"] == 1.0
    _, estimate = Copying()(Drawn(torch.randn(20, 2)), of_batch._replace(batch=evidence(train).batch))
    assert "fidelity.split=test has others" in estimate.warnings[0]


def test_examples_of_training_are_told() -> None:
    train = torch.randn(20, 2)
    _, estimate = Copying()(Drawn(torch.randn(20, 2)), evidence(train, train))
    assert "fidelity.split=test has others" in estimate.warnings[0]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (Precision, {"k": 0}, "`fidelity.precision.k` must be at least 1, but is 0"),
        (Recall, {"resamples": 1}, "`fidelity.recall.resamples` must be at least 2, but is 1"),
        (Copying, {"num_samples": 1}, "`fidelity.copying.num_samples` must be at least 2, but is 1"),
    ],
)
def test_settings_are_checked(method: Any, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method(**settings)
