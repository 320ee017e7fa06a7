"""AIS in both directions against enumeration."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.estimators import enumeration
from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.log_z.ais import AIS
from dgmrun.estimators.log_z.exact import Enumeration
from dgmrun.estimators.log_z.reverse_ais import ReverseAIS
from dgmrun.estimators.spacing import SPACINGS, linear, published, spaced
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Event
from dgmrun.workbench.build import checked

BASE = torch.zeros(10, dtype=torch.float64)
FAIR = torch.tensor([[0.0], [1.0]]).expand(2, 10)
"""Data whose marginals have these log odds."""


def random_rbm(scale: float, hidden: int = 6) -> RBM:
    """An RBM with N(0, scale^2) weights and N(0, 1) biases, float64."""
    rbm = RBM(Event((10,), "binary"), hidden).double().requires_grad_(False)
    rbm.weight.normal_(std=scale)
    rbm.visible_bias.normal_()
    rbm.hidden_bias.normal_()
    return rbm


def exact_log_z(rbm: RBM) -> float:
    return float(torch.logsumexp(enumeration.log_masses(rbm), 0))


@pytest.mark.parametrize("num", [2, 3, 10])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_weights_are_unbiased_at_any_number_of_linear(num: int, direction: str) -> None:
    """E[w] = Z / Z_0 forward and Z_0 / Z in reverse: 20,000 chains, 4 standard errors of the mean weight."""
    torch.manual_seed(num)
    rbm = random_rbm(0.5)
    path, truth = rbm.annealed(FAIR), exact_log_z(rbm)
    if direction == "forward":
        log_w = anneal(path, path.start(20_000), linear(num))[1] + path.log_normaliser() - truth
    else:
        start = enumeration.samples(rbm, 20_000)
        log_w = anneal(path, start, linear(num).flip(0))[1] - path.log_normaliser() + truth
    w = log_w.exp()
    assert abs(float(w.mean()) - 1) < 4 * float(w.std()) / math.sqrt(len(w))


def test_one_temperature_step_is_simple_importance_sampling() -> None:
    torch.manual_seed(0)
    rbm = random_rbm(1.0)
    path = rbm.annealed(FAIR)
    x = path.start(50)
    expected = rbm.log_unnormalised(x) - 6 * math.log(2) - x @ BASE
    torch.testing.assert_close(anneal(path, x, linear(2))[1], expected)


def test_target_equal_to_base_has_no_variance() -> None:
    rbm = random_rbm(0.0)
    rbm.hidden_bias.zero_()
    x = torch.rand(20, 10).round()
    rbm.initialise(x)
    estimate = AIS(num_chains=10, num_temperatures=5)(rbm, x)
    assert estimate.value == pytest.approx(exact_log_z(rbm), abs=1e-12)
    assert estimate.standard_error == pytest.approx(0, abs=1e-12)


def test_the_two_directions_enclose_the_exact_value() -> None:
    """In the mean over 200 repetitions: forward below, reverse above, each beyond 4 standard errors."""
    torch.manual_seed(1)
    rbm = random_rbm(2.0)
    truth = exact_log_z(rbm)
    below = torch.tensor([AIS(10, 5)(rbm, FAIR).value for _ in range(200)]) - truth
    above = torch.tensor([ReverseAIS(10, 5)(rbm, FAIR).value for _ in range(200)]) - truth
    assert float(below.mean()) < -4 * float(below.std()) / math.sqrt(200)
    assert float(above.mean()) > 4 * float(above.std()) / math.sqrt(200)


def test_both_directions_agree_with_enumeration_within_their_error() -> None:
    torch.manual_seed(2)
    rbm = random_rbm(1.0)
    truth = Enumeration()(rbm, FAIR)
    assert truth.value == pytest.approx(exact_log_z(rbm))
    assert (truth.kind, truth.bias, truth.standard_error) == ("exact", "none", 0.0)
    for method, kind, bias in ((AIS(), "estimate", "down"), (ReverseAIS(), "upper_bound", "up")):
        estimate = method(rbm, FAIR)
        assert abs(estimate.value - truth.value) < 4 * estimate.standard_error
        assert (estimate.kind, estimate.bias, estimate.warnings) == (kind, bias, [])


def test_reverse_from_chains_is_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgmrun.estimators.sampling.AUTOMATIC_BITS", 3)
    torch.manual_seed(3)
    estimate = ReverseAIS(burn_in=50)(random_rbm(1.0), FAIR)
    assert (estimate.kind, estimate.bias) == ("estimate", "unknown")
    assert "not at exact samples" in estimate.warnings[-1]


def test_few_temperatures_are_warned_of_with_the_cure() -> None:
    torch.manual_seed(4)
    estimate = AIS(num_temperatures=5)(random_rbm(4.0), FAIR)
    assert "raise `log_z.ais.num_temperatures`" in estimate.warnings[0]


@pytest.mark.parametrize("spacing", list(SPACINGS))
def test_temperatures_rise_from_base_to_model(spacing: str) -> None:
    betas = SPACINGS[spacing](101)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()


class Rough:
    """Increments independent from step to step, of standard deviation `roughness(beta)` times the step in beta."""

    def roughness(self, beta: Tensor) -> Tensor:
        return 1 + 30 * beta**4

    def log_normaliser(self) -> Tensor:
        return torch.zeros(())

    def start(self, num: int) -> Tensor:
        return torch.zeros(num, 1)

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        return state, (next_beta - beta) * self.roughness(beta) * torch.randn(len(state))


def test_adaptive_temperatures_add_the_same_variance_at_each_step() -> None:
    """The least sum of squared steps times roughness, by Lagrange's multiplier, but for a tenth, as stages are 20."""
    torch.manual_seed(6)
    path = Rough()
    betas = spaced("adaptive", 2001, path, 4000)
    variance = (path.roughness(betas[:-1]) * betas.diff()).square()
    fine = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    least = torch.trapezoid(path.roughness(fine), fine) ** 2 / 2000
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (betas.diff() > 0).all()
    assert least * 0.999 < variance.sum() < least * 1.1
    assert (path.roughness(linear(2001)[:-1]) / 2000).square().sum() > least * 1.5


class Sticky(Rough):
    """Increments that are alike from step to step in the upper half: their correlation there is 0.9."""

    def start(self, num: int) -> Tensor:
        return torch.randn(num, 1)

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        kept = 0.9 if beta >= 0.5 else 0.0
        state = kept * state + math.sqrt(1 - kept**2) * torch.randn_like(state)
        return state, (next_beta - beta) * state.squeeze(-1)


def test_adaptive_temperatures_are_denser_where_chains_are_slow() -> None:
    """By the root of the friction, (1 + 0.9) / (1 - 0.9) times as large above; of stages alone it would be 0.778."""
    torch.manual_seed(8)
    betas = spaced("adaptive", 4001, Sticky(), 4000)
    slow = math.sqrt(1.9 / 0.1)
    assert float((betas > 0.5).double().mean()) == pytest.approx(slow / (1 + slow), abs=0.02)


def test_adaptive_temperatures_between_equal_distributions_are_quadratic() -> None:
    rbm = random_rbm(0.0)
    rbm.hidden_bias.zero_()
    rbm.visible_bias.zero_()
    assert torch.equal(spaced("adaptive", 100, rbm.annealed(FAIR), 20), SPACINGS["quadratic"](100))
    assert AIS(20, 100, "adaptive")(rbm, FAIR).value == pytest.approx(16 * math.log(2))


def test_adaptive_temperatures_leave_the_mean_weight_what_it_is() -> None:
    """E[w] = Z, over 300 repetitions of pilot and run, each with steps of its own: within 4 standard errors."""
    torch.manual_seed(7)
    rbm = random_rbm(1.0)
    ratios = [math.exp(AIS(10, 20, "adaptive")(rbm, FAIR).value - exact_log_z(rbm)) for _ in range(300)]
    assert abs(statistics.mean(ratios) - 1) < 4 * statistics.stdev(ratios) / math.sqrt(300)
    upper = ReverseAIS(100, 200, "adaptive")(rbm, FAIR)
    assert abs(upper.value - exact_log_z(rbm)) < 4 * upper.standard_error


def test_published_temperatures_are_the_published_ones() -> None:
    betas = published(14_501)
    assert [round(float(betas[k]), 12) for k in (0, 500, 4_500, 14_500)] == [0, 0.5, 0.9, 1]
    assert float(betas[1]) == pytest.approx(1 / 1000)
    assert float(betas[-1] - betas[-2]) == pytest.approx(1 / 100_000)


@pytest.mark.parametrize("make", [lambda: AIS(num_chains=1), lambda: ReverseAIS(num_temperatures=1)])
def test_refuses_sizes_without_an_error_bar(make: type) -> None:
    with pytest.raises(ValueError, match="must be at least 2"):
        make()


def test_exact_refuses_too_many_states() -> None:
    with pytest.raises(ValueError, match=r"above 5 units"):
        Enumeration(max_bits=5)(random_rbm(1.0), FAIR)
    with pytest.raises(ValueError, match=r"log_z.exact.max_bits"):
        Enumeration(max_bits=26)


def test_single_precision_loses_nothing_that_shows() -> None:
    """The same draws in float32 and float64: log-weights agree to 1e-3 nat after 1,000 steps."""
    torch.manual_seed(5)
    rbm = random_rbm(0.5)
    single = RBM(rbm.event, 6).requires_grad_(False)
    single.load_state_dict(rbm.state_dict())
    truth = exact_log_z(rbm)
    estimate = AIS(num_chains=1000)(single, FAIR)
    assert abs(estimate.value - truth) < 4 * estimate.standard_error + 1e-4


def test_the_nearest_of_the_listed_words_is_suggested() -> None:
    with pytest.raises(Mistake, match=r"but is sigmoidal \(did you mean `sigmoid`\?\)$"):
        checked(AIS, spacing="sigmoidal")
