"""FID against the closed form of Gaussians, its bias, and what its interval covers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.fidelity.fid import FID, PARTS, WEIGHTS, frechet, infinite, moments, of_parts
from tests.estimators.features import Drawn, ends, evidence

DOUBLE = torch.float64


def covariance(dims: int, rank: int | None = None) -> Tensor:
    root = torch.randn(dims, rank or dims, dtype=DOUBLE)
    return root @ root.T / dims


def test_of_gaussians_that_share_their_axes_it_is_a_sum_over_these() -> None:
    axes = torch.linalg.qr(torch.randn(4, 4, dtype=DOUBLE)).Q
    a, b = torch.tensor([1.0, 4.0, 9.0, 0.0], dtype=DOUBLE), torch.tensor([4.0, 4.0, 0.0, 1.0], dtype=DOUBLE)
    shift = torch.tensor([1.0, -2.0, 0.0, 0.5], dtype=DOUBLE)
    found = frechet(torch.zeros(4, dtype=DOUBLE), axes @ a.diag() @ axes.T, shift, axes @ b.diag() @ axes.T)
    assert float(found) == pytest.approx(5.25 + 1 + 0 + 9 + 1)


@pytest.mark.parametrize("rank", [None, 2])
def test_it_is_a_squared_distance_of_full_and_of_singular_gaussians(rank: int | None) -> None:
    one, other = covariance(5, rank), covariance(5, rank)
    means = torch.randn(2, 5, dtype=DOUBLE)
    there, back = frechet(means[0], one, means[1], other), frechet(means[1], other, means[0], one)
    assert float(there) == pytest.approx(float(back))
    assert float(frechet(means[0], one, means[0], one)) == pytest.approx(0.0, abs=1e-7)
    product = torch.linalg.eigvals(one @ other).abs().sqrt().sum()
    expected = (means[0] - means[1]).square().sum() + one.trace() + other.trace() - 2 * product
    assert float(there) == pytest.approx(float(expected), abs=1e-6)


def test_moments_are_unbiased() -> None:
    x = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]], dtype=DOUBLE)
    mean, cov = moments(x)
    assert mean.tolist() == [2.0, 2.0]
    assert cov.tolist() == [[4.0, 3.0], [3.0, 3.0]]
    assert moments(x[:, :1])[1].tolist() == [[4.0]]


def test_the_weights_are_those_of_the_line_through_the_parts() -> None:
    """They sum to 1, give nothing to what is in proportion to the number of parts, and are of least squares."""
    design = torch.stack([torch.ones(3), torch.tensor(PARTS, dtype=torch.float32)], 1)
    torch.testing.assert_close(torch.linalg.pinv(design)[0], torch.tensor(WEIGHTS))
    assert float(infinite(torch.tensor([3.0 + 5.0 * part for part in PARTS], dtype=DOUBLE))) == pytest.approx(3.0)


def test_parts_are_disjoint_and_together_all_rows() -> None:
    x, y = torch.randn(8, 1, dtype=DOUBLE), torch.randn(8, 1, dtype=DOUBLE)
    quarters, halves, whole = of_parts(x, y).tolist()
    assert whole == pytest.approx(float(frechet(*moments(x), *moments(y))))
    by_hand = [(frechet(*moments(x[at]), *moments(y[at]))) for at in (slice(0, 4), slice(4, 8))]
    assert halves == pytest.approx(float(sum(by_hand)) / 2)
    assert quarters > halves > whole


def test_of_equal_distributions_it_is_too_high_and_that_of_infinitely_many_rows_is_not() -> None:
    values, limits = [], []
    for _ in range(49):
        x, y = torch.randn(2, 160, 4, dtype=DOUBLE)
        found = of_parts(x, y)
        values.append(float(found[-1]))
        limits.append(float(infinite(found)))
    value, limit = torch.tensor(values), torch.tensor(limits)
    assert float(value.mean()) > 10 * float(value.std()) / 7
    bias = float(value.mean())
    assert abs(float(limit.mean())) < max(0.05 * bias, 4 * float(limit.std()) / 7)


def test_what_is_told() -> None:
    _, estimate = FID(resamples=3)(Drawn(lambda num: torch.randn(num, 2)), evidence(torch.randn(40, 2)))
    assert (estimate.bias, estimate.quantity, estimate.warnings) == ("up", "fid", [])
    assert [count for count, *_ in estimate.curve] == [10, 20, 40]
    assert estimate.curve[-1][1] == estimate.value
    low, high = ends(estimate)
    assert low <= max(0.0, estimate.diagnostics["fid_infinity"] or 0) < estimate.value < high
    assert estimate.settings == {"num_samples": None, "resamples": 3, "features": "x"}


def test_of_fewer_rows_than_features_the_interval_is_open_below() -> None:
    _, estimate = FID(resamples=2)(Drawn(torch.randn(20, 6)), evidence(torch.randn(20, 6)))
    assert estimate.interval is not None
    assert estimate.interval[0] is None
    assert "quarters of more rows than 6 features" in estimate.warnings[0]


@pytest.mark.slow
def test_the_library_gives_the_same_value() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = torch.randn(30, 3), torch.randn(25, 3) * 2 + 1
    theirs = FrechetInceptionDistance(feature=torch.nn.Flatten(), normalize=True, input_img_size=(3,))
    theirs.update(x, real=True)
    theirs.update(y, real=False)
    ours = frechet(*moments(x.double()), *moments(y.double()))
    assert float(theirs.compute()) == pytest.approx(float(ours), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_cover_the_distance_of_the_distributions(shift: float) -> None:
    """Of 100, a 99.7 % interval misses 0.3 in the mean, and 4 standard errors more are 2."""
    missed, truth = 0, 3 * shift**2 + 3 * (math.sqrt(2) - 1) ** 2
    for _ in range(100):
        model = Drawn(lambda num: torch.randn(num, 3) * math.sqrt(2) + shift)
        _, estimate = FID()(model, evidence(torch.randn(200, 3)))
        low, high = ends(estimate)
        missed += not low <= truth <= high
    assert missed <= 2
