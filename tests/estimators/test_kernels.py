"""MMD and KID against sums over pairs and closed forms; the level of the test of MMD."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from dgmrun.estimators.fidelity.kid import KID, cubic
from dgmrun.estimators.fidelity.mmd import MMD, gaussian, median_distance
from dgmrun.estimators.kernels import jackknife, products, squared_mmd
from tests.estimators.features import Drawn, ends, evidence

DOUBLE = torch.float64


def split(kernel: Any, x: Tensor, y: Tensor) -> tuple[float, float]:
    is_x = torch.cat([x.new_ones(len(x)), x.new_zeros(len(y))])
    kx, ky = products(kernel, torch.cat([x, y]), torch.stack([is_x, 1 - is_x], 1)).T
    return jackknife(kx, ky, len(x))


def naive(kernel: Any, x: Tensor, y: Tensor) -> float:
    """The sums of equation 3, pair by pair."""
    within = [
        sum(float(kernel(a[None], b[None])) for a, b in permutations(z, 2)) / (len(z) * (len(z) - 1)) for z in (x, y)
    ]
    between = sum(float(kernel(a[None], b[None])) for a in x for b in y) / (len(x) * len(y))
    return sum(within) - 2 * between


def wide(x: Tensor, y: Tensor) -> Tensor:
    return gaussian(x, y, 1.5)


@pytest.mark.parametrize("kernel", [wide, cubic])
def test_value_and_error_are_those_of_pairs_and_of_leaving_out_each_row(kernel: Any) -> None:
    x, y = torch.randn(5, 2, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE) + 1
    value, error = split(kernel, x, y)
    assert value == pytest.approx(naive(kernel, x, y))
    squares = 0.0
    for one, other in ((x, y), (y, x)):
        without = [naive(kernel, torch.cat([one[:i], one[i + 1 :]]), other) for i in range(len(one))]
        mean = sum(without) / len(one)
        squares += (len(one) - 1) / len(one) * sum((each - mean) ** 2 for each in without)
    assert error == pytest.approx(math.sqrt(squares))


def test_blocks_of_the_kernel_are_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    z, w = torch.randn(7, 3, dtype=DOUBLE), torch.randn(7, 2, dtype=DOUBLE)
    monkeypatch.setattr("dgmrun.estimators.kernels.BLOCK", 3)
    k = wide(z, z)
    torch.testing.assert_close(products(wide, z, w), (k - k.diag().diag()) @ w)


def test_every_deal_has_the_discrepancy_of_its_rows() -> None:
    z, w = torch.randn(9, 2, dtype=DOUBLE), torch.stack([torch.randperm(9) < 4 for _ in range(3)], 1).double()
    kw = products(wide, z, torch.cat([w, w.new_ones(9, 1)], 1))
    found = squared_mmd(w, kw[:, :3], kw[:, 3])
    expected = [naive(wide, z[one == 1], z[one == 0]) for one in w.T]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=DOUBLE))


def of_gaussians(shift: float, width: float, dims: int) -> float:
    """Squared MMD of N(0, I) and N(shift, I), by the closed form of E k for x - y ~ N(delta, 2 I)."""
    scale = 1 + 2 / width**2
    equal = scale ** (-dims / 2)
    return 2 * equal * (1 - math.exp(-dims * shift**2 / (2 * width**2 * scale)))


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_mean_over_data_is_the_closed_form(shift: float) -> None:
    def drawn(num: int) -> Tensor:
        return torch.randn(num, 3) + shift

    of_mmd, of_kid = [], []
    for _ in range(80):
        seen = evidence(torch.randn(12, 3))
        of_mmd.append(MMD(num_samples=9, width=2.0, permutations=1)(Drawn(drawn), seen)[1].value)
        of_kid.append(KID(num_samples=9)(Drawn(drawn), seen)[1].value)
    mean, error = float(torch.tensor(of_mmd).mean()), float(torch.tensor(of_mmd).std()) / math.sqrt(80)
    assert abs(mean - of_gaussians(shift, 2.0, 3)) < 4 * error
    mean, error = float(torch.tensor(of_kid).mean()), float(torch.tensor(of_kid).std()) / math.sqrt(80)
    assert abs(mean - cubic_of_gaussians(shift, 3)) < 4 * error


def cubic_of_gaussians(shift: float, dims: int) -> float:
    """Squared MMD with (x y / F + 1)^3 from moments: of a = x y, E (a / F + 1)^3, given y by Gauss-Hermite sums."""
    nodes, weights = torch.tensor(hermite()[0], dtype=DOUBLE), torch.tensor(hermite()[1], dtype=DOUBLE)
    grid = torch.cartesian_prod(*[nodes] * dims)
    weight = torch.cartesian_prod(*[weights] * dims).prod(1)
    x, y = grid, grid + shift
    xx, yy, xy = (weight @ cubic(one, other) @ weight for one, other in ((x, x), (y, y), (x, y)))
    return float(xx + yy - 2 * xy)


def hermite() -> tuple[Any, Any]:
    """Nodes and weights of a quadrature that is exact for polynomials of the 7th degree under N(0, 1)."""
    from numpy.polynomial.hermite_e import hermegauss

    nodes, weights = hermegauss(4)
    return nodes, weights / weights.sum()


def test_the_p_value_of_equal_distributions_is_uniform() -> None:
    """Of 19 deals it is k / 20 with equal chances: the mean is 0.525, and 5 % are 0.05."""
    p = [
        MMD(num_samples=8, permutations=19)(Drawn(lambda num: torch.randn(num, 2)), evidence(torch.randn(10, 2)))[
            1
        ].diagnostics["p_value"]
        for _ in range(200)
    ]
    drawn = torch.tensor(p)
    assert abs(float(drawn.mean()) - 0.525) < 4 * math.sqrt((400 - 1) / 12) / 20 / math.sqrt(200)
    least = int((drawn < 0.0501).sum())
    assert abs(least - 10) < 4 * math.sqrt(200 * 0.05 * 0.95)


def test_different_distributions_have_the_least_p_value() -> None:
    _, estimate = MMD(permutations=99)(Drawn(lambda num: torch.randn(num, 2) + 2), evidence(torch.randn(40, 2)))
    assert estimate.diagnostics["p_value"] == 0.01
    assert ends(estimate)[0] > 0


def test_the_width_is_the_median_distance_and_that_of_equal_rows_is_1() -> None:
    z = torch.tensor([[0.0], [1.0], [3.0]], dtype=DOUBLE)
    assert median_distance(z) == 2.0
    assert median_distance(torch.ones(4, 2, dtype=DOUBLE)) == 1.0
    _, estimate = MMD()(Drawn(torch.ones(4, 2)), evidence(torch.ones(4, 2)))
    assert (estimate.value, estimate.diagnostics["p_value"]) == (pytest.approx(0.0, abs=1e-12), 1.0)


@pytest.mark.parametrize("method", [MMD(permutations=3), KID()])
def test_the_witness_is_of_each_sample(method: Any) -> None:
    values, _ = method(Drawn(torch.randn(5, 2)), evidence(torch.randn(4, 2)))
    assert values.shape == (4,)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_cover(shift: float) -> None:
    """Of 1000, a 99.7 % interval misses 3 in the mean, and 4 standard errors more are 10."""
    p, q = (MultivariateNormal(torch.full((3,), mean), torch.eye(3)) for mean in (0.0, shift))
    missed = {"mmd": 0, "kid": 0}
    truth = {"mmd": of_gaussians(shift, 2.0, 3), "kid": cubic_of_gaussians(shift, 3)}
    for _ in range(1000):
        for method in (MMD(width=2.0, permutations=1), KID()):
            _, estimate = method(Drawn(lambda num: q.sample((num,))), evidence(p.sample((60,))))
            low, high = ends(estimate)
            missed[estimate.quantity] += not low <= truth[estimate.quantity] <= high
    assert max(missed.values()) <= 10


class Told(Drawn):
    """The perfect model of x = c + noise, of which samples have the contexts of the examples."""

    def sample(self, num: int, context: Any = None) -> Tensor:
        return context + 0.3 * torch.randn_like(context)


@pytest.mark.parametrize("method", [KID(), MMD(permutations=5)])
def test_of_told_models_the_figure_is_low_and_says_so(method: KID | MMD) -> None:
    """Its truth is 0: pairs of the same context are nearer than others."""
    values = []
    for _ in range(60):
        c = torch.randn(30, 2)
        given = evidence(c + 0.3 * torch.randn(30, 2))
        _, estimate = method(Told(c), given._replace(batch=given.batch._replace(context=c)))
        values.append(estimate.value)
        assert estimate.bias == "down"
        assert estimate.interval is not None
        assert estimate.interval[1] is None
        assert estimate.diagnostics.get("p_value") is None
    found = torch.tensor(values)
    assert float(found.mean()) < -4 * float(found.std()) / math.sqrt(60)
