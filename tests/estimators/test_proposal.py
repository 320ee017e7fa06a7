"""Importance and bridge sampling, against closed forms, enumeration and a student that misses a mode."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.bridge import Bridge, Fold, halves, together
from dgmrun.estimators.log_z.importance import Importance
from dgmrun.estimators.pareto import pareto_k
from dgmrun.estimators.proposal import (
    Densities,
    Mean,
    Proposal,
    Samples,
    ThroughProposal,
    effective_size,
    log_mean_of_chains,
    r_hat,
)
from dgmrun.models.nade import NADE
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event

METHODS = (Importance, Bridge)
QUICK = {"num_samples": 2000, "num_chains": 200, "burn_in": 100, "thin": 5}
SHARED_GAUSSIAN = 0.5 * math.log(2 * math.pi)


def gaussian(x: Tensor, scale: float) -> Densities:
    """log f = -x^2/2, whose log Z is log(2 pi)/2, and log q of N(0, scale^2)."""
    log_q = -(x**2) / 2 / scale**2 - math.log(scale) - SHARED_GAUSSIAN
    return Densities(-(x**2) / 2, log_q)


def gaussian_draws(scale: float, num: int) -> Samples:
    of_q = gaussian(scale * torch.randn(num, dtype=torch.float64), scale)
    return Samples(of_q, gaussian(torch.randn(2, num // 20, 10, dtype=torch.float64), scale))


def rare_draws(num: int, only_p: float, only_q: float, spread: float) -> Samples:
    """A proposal and a model that agree, or nearly, but for a part of each that the other lacks; log Z is 0.

    Args:
        num: number of samples of each, those of p in chains of 10 independent states.
        only_p: probability of the part of p that q lacks.
        only_q: probability of the part of q that p lacks.
        spread: how much wider than p's N(0, 1) the rest of q is.
    """

    def densities(x: Tensor, is_only_p: Tensor, is_only_q: Tensor) -> Densities:
        log_f, log_q = (normal(x, scale) + math.log1p(-share) for scale, share in ((1, only_p), (1 + spread, only_q)))
        log_f, log_q = (torch.where(rare, -40.0, log) for rare, log in ((is_only_q, log_f), (is_only_p, log_q)))
        return Densities(log_f, log_q)

    x, of_p = (torch.randn(*shape, dtype=torch.float64) for shape in ((num,), (2, num // 20, 10)))
    never = torch.zeros((), dtype=torch.bool)
    of_q = densities((1 + spread) * x, never, torch.rand(num) < only_q)
    return Samples(of_q, densities(of_p, torch.rand(of_p.shape) < only_p, never))


def normal(x: Tensor, scale: float) -> Tensor:
    """Log-density of N(0, scale^2)."""
    return -(x**2) / 2 / scale**2 - math.log(scale) - SHARED_GAUSSIAN


class Drawn(Proposal):
    """What was drawn elsewhere."""

    def __init__(self, drawn: Samples) -> None:
        self.given = drawn

    def samples(self, settings: ThroughProposal) -> Samples:
        return self.given


def two_modes() -> tuple[RBM, NADE]:
    """An RBM of two far modes of equal mass, and a student that is exactly one of them."""
    rbm, nade = RBM(Event((10,), "binary"), 1), NADE(Event((10,), "binary"), 1)
    with torch.no_grad():
        rbm.weight.fill_(6)
        rbm.hidden_bias.fill_(-30)
        rbm.visible_bias.fill_(-3)
        nade.weight.zero_()
        nade.output_weight.zero_()
        nade.visible_bias.fill_(-3)
    return rbm.requires_grad_(False), nade.requires_grad_(False)


def fair(dims: int) -> Tensor:
    """Data whose marginals are those of fair bits."""
    return torch.tensor([[0.0], [1.0]]).expand(2, dims)


def log_z(rbm: RBM) -> float:
    return float(enumeration.log_masses(rbm).logsumexp(0))


@pytest.mark.parametrize("scale", [0.6, 0.8, 0.95, 1.5])
def test_moments_of_gaussian_weights(scale: float) -> None:
    """E_q[w^2] = scale^2 / sqrt(2 scale^2 - 1) and, below 1, Pareto k = 1 - scale^2 (means over draws)."""
    torch.manual_seed(1)
    num, times = 10_000, 20
    shapes, seconds = [], []
    for _ in range(times):
        draws = gaussian_draws(scale, num)
        log_w = draws.of_q.log_w - SHARED_GAUSSIAN
        shapes.append(pareto_k(log_w))
        seconds.append(float((2 * log_w).exp().mean()))
    if scale > math.sqrt(3 / 4):  # elsewhere the mean of w^2 has no standard error
        truth = scale**2 / math.sqrt(2 * scale**2 - 1)
        error = float(torch.tensor(seconds).std()) / math.sqrt(times)
        assert abs(sum(seconds) / times - truth) < 4.5 * error
    if scale < 1:
        assert sum(shapes) / times == pytest.approx(1 - scale**2, abs=0.1)


def test_weights_without_a_tail_have_none() -> None:
    assert pareto_k(torch.zeros(1000, dtype=torch.float64)) == -math.inf
    assert pareto_k(torch.rand(10_000, dtype=torch.float64)) < 0
    assert pareto_k(1e-15 * torch.rand(1000, dtype=torch.float64)) == -math.inf


def test_a_few_large_weights_above_many_equal_ones_are_a_heavy_tail() -> None:
    assert pareto_k(torch.cat([torch.zeros(9950), torch.linspace(5, 12, 50)]).double()) > 0.7
    assert pareto_k(torch.cat([torch.zeros(9998), torch.tensor([5.0, 12.0])]).double()) == math.inf


@pytest.mark.parametrize("method", METHODS)
def test_both_give_the_normaliser_of_a_gaussian(method: Any) -> None:
    torch.manual_seed(2)
    estimate = method()(None, torch.zeros(1), Drawn(gaussian_draws(1.3, 10_000)))
    assert estimate.warnings == []
    assert abs(estimate.value - SHARED_GAUSSIAN) < 4 * estimate.standard_error
    low, high = estimate.interval
    assert low < SHARED_GAUSSIAN < high


@pytest.mark.parametrize("method", METHODS)
def test_the_model_as_its_own_proposal_has_no_variance(method: Any) -> None:
    torch.manual_seed(3)
    estimate = method()(None, torch.zeros(1), Drawn(gaussian_draws(1.0, 1000)))
    assert estimate.value == pytest.approx(SHARED_GAUSSIAN, abs=1e-12)
    assert estimate.standard_error == pytest.approx(0, abs=1e-12)
    assert estimate.warnings == []


RARE = [(1, 0, 0.0), (3, 0, 0.0), (10, 0, 0.0), (10, 0, 0.1), (0, 3, 0.0), (0, 10, 0.1), (6, 6, 0.1)]
"""Expected numbers of samples of p and of q in parts that the other density lacks, and the spread of q elsewhere."""


def coverage(method: Any, num: int, case: tuple[int, int, float], times: int) -> tuple[int, int]:
    """How many intervals there are in `times` repetitions, and how many of them hold log Z."""
    only_p, only_q, spread = case
    settings = method(num_samples=num, num_chains=num // 10)
    estimates = (
        settings(None, torch.zeros(1), Drawn(rare_draws(num, only_p / num, only_q / num, spread))) for _ in range(times)
    )
    ends = [estimate.interval for estimate in estimates if estimate.interval]
    return len(ends), sum(low <= 0 <= high for low, high in ends)


@pytest.mark.parametrize("case", [RARE[0], RARE[4]])
@pytest.mark.parametrize("method", METHODS)
def test_what_neither_side_drew_is_within_the_interval(
    method: Any, case: tuple[int, int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 repetitions of 400 samples: at most 2 misses, more with a chance of 8e-5 if the interval covers as it says."""
    monkeypatch.setattr(f"{method.__module__}.{'_curve' if method is Bridge else 'curve'}", lambda *_: [])
    claimed, covered = coverage(method, 400, case, 30)
    assert claimed > 0
    assert claimed - covered <= 2


@pytest.mark.slow
@pytest.mark.parametrize("num", [400, 2000, 10_000])
@pytest.mark.parametrize("method", METHODS)
def test_coverage_over_students_that_miss_a_rare_part(method: Any, num: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{method.__module__}.{'_curve' if method is Bridge else 'curve'}", lambda *_: [])
    for case in RARE:
        claimed, covered = coverage(method, num, case, 400_000 // num)
        print(f"\n| {method.name} | {num} | {case} | {claimed} | {covered / max(claimed, 1):.2%} |", end="")
        assert claimed - covered <= 0.0027 * claimed + 4 * math.sqrt(0.0027 * claimed) + 1


def test_the_bridge_solves_its_equation() -> None:
    """The score of the logistic likelihood of which side a sample is from: what p is expected to have, it has."""
    torch.manual_seed(4)
    draws = gaussian_draws(0.7, 2000)
    fold = Fold(draws.of_q.log_w[:1000], draws.of_p.log_w[0])
    log_r = fold.fit()
    assert fold.bridge(log_r).value == pytest.approx(log_r, abs=1e-9)
    of_p = effective_size(fold.at_p)
    odds = math.log(of_p / 1000) - log_r
    from_q = torch.sigmoid(fold.at_q + odds).sum() / 1000
    from_p = torch.sigmoid(-fold.at_p - odds).sum() / fold.at_p.numel()
    assert float(from_q * 1000) == pytest.approx(float(from_p * of_p), rel=1e-9)


def test_bridge_errs_less_than_importance_and_as_it_says() -> None:
    """400 repetitions with a proposal that is too narrow."""
    torch.manual_seed(5)
    found, claimed, simple = [], [], []
    for _ in range(400):
        draws = gaussian_draws(0.65, 1000)
        mean = together(*halves(draws))
        found.append(mean.value - SHARED_GAUSSIAN)
        claimed.append(mean.standard_error)
        simple.append(float(draws.of_q.log_w.logsumexp(0)) - math.log(1000) - SHARED_GAUSSIAN)
    errors, others = torch.tensor(found), torch.tensor(simple)
    assert errors.square().mean() < others.square().mean()
    assert abs(float(errors.mean())) < 4 * float(errors.std()) / 20
    assert float(errors.std()) / (sum(claimed) / 400) == pytest.approx(1, abs=4 / math.sqrt(800))
    near = sum(abs(one) < error for one, error in zip(found, claimed, strict=True)) / 400
    assert abs(near - 0.683) < 4 * math.sqrt(0.683 * 0.317 / 400)


@pytest.mark.parametrize("method", METHODS)
def test_a_student_of_one_mode_is_found_out(method: Any) -> None:
    """By the half of the chains that did not start at it; by itself it is perfect, and wrong by log 2."""
    rbm, nade = two_modes()
    proposal = Proposal(nade, rbm, fair(10), 0)
    estimate = method(**QUICK)(rbm, fair(10), proposal)
    weights = proposal.samples(method(**QUICK)).of_q.log_w
    assert float(weights.logsumexp(0)) - math.log(2000) == pytest.approx(log_z(rbm) - math.log(2), abs=0.02)
    assert estimate.interval is None
    assert "misses a part of the model" in " ".join(estimate.warnings)


def test_of_two_modes_annealing_holds_the_truth() -> None:
    torch.manual_seed(10)
    rbm, _ = two_modes()
    estimate = AIS(num_chains=1000, num_temperatures=2000)(rbm, fair(10))
    assert estimate.interval is not None
    assert estimate.interval[0] < log_z(rbm) < estimate.interval[1]


def test_a_disagreement_is_in_the_standard_error() -> None:
    one, other = Mean(1.0, 1e-6, 100), Mean(1.0 + math.log(2), 1e-6, 100)
    assert together(one, other).standard_error == pytest.approx(math.log(2) / 2)
    assert together(one, one).standard_error == pytest.approx(1e-6 / math.sqrt(2))


def test_the_bridge_between_far_densities_is_found_and_doubted() -> None:
    torch.manual_seed(11)
    q, p = -500 + 30 * torch.randn(1000, dtype=torch.float64), 500 + 30 * torch.randn(2, 50, 10, dtype=torch.float64)
    fold = Fold(q, p[0])
    log_r = fold.fit()
    assert fold.bridge(log_r).value == pytest.approx(log_r, abs=1e-6)
    draws = Samples(Densities(q, 0 * q), Densities(p, 0 * p))
    estimate = Bridge()(None, torch.zeros(1), Drawn(draws))
    assert (estimate.interval, estimate.standard_error) == (None, None)
    assert "of the samples of one side count" in " ".join(estimate.warnings)


@pytest.mark.parametrize("far", [1e8, math.inf])
def test_the_fit_ends_whatever_the_log_ratios(far: float) -> None:
    fold = Fold(torch.tensor([-far, 0.0], dtype=torch.float64), torch.tensor([[far], [far]], dtype=torch.float64))
    fold.fit()


def test_a_student_without_any_likeness_is_warned_of() -> None:
    torch.manual_seed(6)
    rbm = RBM(Event((20,), "binary"), 8).requires_grad_(False)
    rbm.weight.normal_(std=1.5)
    nade = NADE(Event((20,), "binary"), 8).requires_grad_(False)
    proposal = Proposal(nade, rbm, fair(20), 0)
    for method in METHODS:
        estimate = method(**QUICK)(rbm, fair(20), proposal)
        assert estimate.warnings
        if estimate.interval is not None:
            assert estimate.interval[0] < log_z(rbm) < estimate.interval[1]


def test_divergences_are_those_of_enumeration() -> None:
    torch.manual_seed(7)
    rbm, nade = RBM(Event((6,), "binary"), 3).requires_grad_(False), NADE(Event((6,), "binary"), 3)
    rbm.weight.normal_(std=0.7)
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
    log_p = (rbm.log_unnormalised(states) - log_z(rbm)).double()
    log_q = nade.requires_grad_(False).log_prob(states).double()
    truth = {"kl_p_q": (log_p.exp() * (log_p - log_q)).sum(), "kl_q_p": (log_q.exp() * (log_q - log_p)).sum()}
    estimate = Bridge(num_samples=20_000, num_chains=2000, burn_in=50, thin=5)(
        rbm, fair(6), Proposal(nade, rbm, fair(6), 0)
    )
    for name, value in truth.items():
        error = estimate.diagnostics[f"{name}_standard_error"]
        found = estimate.diagnostics[name]
        assert error is not None
        assert found is not None
        assert abs(found - float(value)) < 4.5 * error


def test_the_error_of_chains_is_that_of_their_means() -> None:
    torch.manual_seed(8)
    of_chain = torch.randn(1000, 1, dtype=torch.float64)
    value = 0.1 * of_chain.expand(-1, 10)
    single, tenfold = log_mean_of_chains(value[:, :1]), log_mean_of_chains(value)
    assert tenfold.standard_error == pytest.approx(single.standard_error)
    assert effective_size(value) == pytest.approx(1000, rel=0.01)
    assert effective_size(torch.randn(1000, 10, dtype=torch.float64)) == pytest.approx(10_000, rel=0.3)


def test_r_hat_tells_halves_apart() -> None:
    torch.manual_seed(9)
    value = torch.randn(2, 500, 10, dtype=torch.float64)
    assert r_hat(value) < 1.01
    value[1] += 0.5
    assert r_hat(value) > 1.01


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_samples": 10}, "`log_z.bridge.num_samples` must be at least 20"),
        ({"num_chains": 5}, "even"),
        ({"num_samples": 1001}, "a multiple of the 1000 chains"),
        ({"thin": 0}, "`log_z.bridge.thin`"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Bridge(**settings)
