"""How often the intervals of AIS hold the exact log Z, over random RBMs: `pytest -m slow -s` prints the table.

Visible 12 to 20, hidden 1 to 12, weight scale 0.3 to 4 and 10 to 1,000 temperatures, both log-uniform; Gaussian,
uniform or sparse weights; six laws of biases, one with two far modes of unequal mass; 100 chains from fair bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event


class Outcome(NamedTuple):
    """One RBM: is it warned of, does the interval cover, is it within one standard error, effective sample size."""

    warned: bool
    covers: bool
    near: bool
    effective: float


def log_uniform(low: float, high: float) -> float:
    return low * (high / low) ** float(torch.rand(()))


def random_weights(dims: int, hidden: int, scale: float) -> Tensor:
    kind = int(torch.randint(3, ()))
    if kind == 0:
        return scale * torch.randn(dims, hidden, dtype=torch.float64)
    if kind == 1:
        return scale * math.sqrt(3) * (2 * torch.rand(dims, hidden, dtype=torch.float64) - 1)
    kept = torch.rand(dims, hidden) < 0.3
    return kept * (scale / math.sqrt(0.3)) * torch.randn(dims, hidden, dtype=torch.float64)


def random_biases(weight: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Standard normal, zero, balanced, half balanced, as large as the weights, or balanced with a tilt."""
    a, b = (torch.randn(size, dtype=torch.float64) for size in weight.shape)
    balanced_a, balanced_b = -weight.sum(1) / 2, -weight.sum(0) / 2
    laws = [
        (a, b),
        (0 * a, 0 * b),
        (balanced_a, balanced_b),
        (a, balanced_b),
        (scale * a, scale * b),
        (balanced_a + 0.3 * a, balanced_b + 0.3 * b),
    ]
    return laws[int(torch.randint(len(laws), ()))]


def random_rbm() -> RBM:
    dims, hidden, scale = int(torch.randint(12, 21, ())), int(torch.randint(1, 13, ())), log_uniform(0.3, 4)
    rbm = RBM(Event((dims,), "binary"), hidden).double().requires_grad_(False)
    weight = random_weights(dims, hidden, scale)
    for parameter, value in zip(rbm.parameters(), (weight, *random_biases(weight, scale)), strict=True):
        parameter.copy_(value)
    return rbm


def outcomes(spacings: tuple[str, ...]) -> list[Outcome]:
    """One RBM by each spacing; the first alone moves the seed on, so that RBMs do not depend on the others."""
    rbm, num_temperatures = random_rbm(), round(log_uniform(10, 1000))
    found = []
    for spacing in reversed(spacings):
        with torch.random.fork_rng(devices=[], enabled=spacing != spacings[0]):
            found.append(outcome(rbm, AIS(100, num_temperatures, spacing)))
    return found[::-1]


def outcome(rbm: RBM, method: AIS) -> Outcome:
    estimate = method(rbm, torch.tensor([[0.0], [1.0]]).expand(2, rbm.event.dims))
    error = estimate.value - float(torch.logsumexp(enumeration.log_masses(rbm), 0))
    low, high = estimate.interval or (-math.inf, math.inf)
    assert low is not None
    assert high is not None
    assert estimate.effective_sample_size is not None
    return Outcome(
        warned=bool(estimate.warnings),
        covers=low <= estimate.value - error <= high,
        near=abs(error) <= (estimate.standard_error or 0),
        effective=estimate.effective_sample_size,
    )


def share(outcomes: list[Outcome], key: str) -> float:
    return sum(getattr(one, key) for one in outcomes) / len(outcomes)


def test_intervals_cover_and_are_not_too_wide() -> None:
    """120 RBMs; the bounds are 4 standard errors of a share from 0.683, and 5 misses where 0.4 are expected."""
    torch.manual_seed(1)
    unwarned = [one for _ in range(120) for one in outcomes(("quadratic",)) if not one.warned]
    assert len(unwarned) > 60
    assert sum(not one.covers for one in unwarned) < 5
    assert abs(share(unwarned, "near") - 0.683) < 4 * math.sqrt(0.683 * 0.317 / len(unwarned))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 11, 12])
def test_calibration_on_1000_rbms(seed: int) -> None:
    """The same RBMs by each spacing."""
    torch.manual_seed(seed)
    spacings = ("quadratic", "adaptive")
    for spacing, found in zip(spacings, zip(*(outcomes(spacings) for _ in range(1000)), strict=True), strict=True):
        unwarned = [one for one in found if not one.warned]
        large = [one for one in found if one.effective > 50]
        effective = torch.tensor([one.effective for one in found])
        quantiles = effective.quantile(torch.tensor([0.0, 0.05, 0.5, 1.0])).tolist()
        print(
            f"\nseed {seed}, {spacing}: warned {1 - len(unwarned) / 1000:.1%}, "
            f"interval covers {share(unwarned, 'covers'):.2%}, +-1 SE {share(unwarned, 'near'):.1%}, "
            f"unwarned among ESS > 50 {1 - share(large, 'warned'):.1%}, ESS min {quantiles[0]:.1f}, "
            f"5 % {quantiles[1]:.0f}, median {quantiles[2]:.0f}, max {quantiles[3]:.1f}"
        )
        assert share(unwarned, "covers") >= 0.99
        assert 0.62 <= share(unwarned, "near") <= 0.74
        assert share(large, "warned") <= 0.5
