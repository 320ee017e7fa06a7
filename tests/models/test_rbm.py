"""The RBM against enumeration and the golden values of an independent computation."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.models.rbm import RBM, RBMPath
from dgmrun.nn.binary import bits
from dgmrun.protocols.values import Event

STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float64)


def golden() -> RBM:
    """W_ij = .5 sin(1 + i + 2j), a_i = .1 cos i, b_j = -.2 cos 2j for D = 6, H = 4."""
    rbm = RBM(Event((6,), "binary"), hidden=4).double()
    i, j = torch.arange(6.0, dtype=torch.float64), torch.arange(4.0, dtype=torch.float64)
    with torch.no_grad():
        rbm.weight.copy_(0.5 * torch.sin(1 + i[:, None] + 2 * j))
        rbm.visible_bias.copy_(0.1 * torch.cos(i))
        rbm.hidden_bias.copy_(-0.2 * torch.cos(2 * j))
    return rbm


def random_rbm(dims: int, hidden: int, scale: float) -> RBM:
    """An RBM with N(0, scale^2) weights and N(0, 1) biases, float64."""
    rbm = RBM(Event((dims,), "binary"), hidden).double()
    with torch.no_grad():
        rbm.weight.normal_(std=scale)
        rbm.visible_bias.normal_()
        rbm.hidden_bias.normal_()
    return rbm


def log_prob(rbm: RBM, x: Tensor) -> Tensor:
    """Normalised by the sum over all visible states."""
    return rbm.log_unnormalised(x) - torch.logsumexp(rbm.log_unnormalised(STATES), 0)


@torch.no_grad()
def test_golden_values() -> None:
    rbm = golden()
    log_z = float(torch.logsumexp(enumeration.log_masses(rbm), 0))
    probability = log_prob(rbm, STATES).exp()
    assert log_z == pytest.approx(6.959986864955, abs=1e-9)
    x = torch.tensor([[1.0, 0, 1, 0, 1, 0]], dtype=torch.float64)
    assert rbm.log_unnormalised(x).item() - log_z == pytest.approx(-4.261052109876, abs=1e-9)
    means = [0.556462, 0.557632, 0.506317, 0.448546, 0.438859, 0.484490]
    assert (probability @ STATES).tolist() == pytest.approx(means, abs=5e-7)
    entropy = -(probability @ log_prob(rbm, STATES)).item()
    assert entropy == pytest.approx(4.129176486823, abs=1e-9)


@pytest.mark.parametrize(("dims", "hidden"), [(6, 3), (6, 9)])
def test_either_layer_gives_the_same_log_z(dims: int, hidden: int) -> None:
    torch.manual_seed(0)
    rbm = random_rbm(dims, hidden, 1.5)
    over_visible = torch.logsumexp(rbm.log_unnormalised(STATES), 0)
    assert float(torch.logsumexp(enumeration.log_masses(rbm), 0)) == pytest.approx(over_visible.item(), abs=1e-10)


def test_without_weights_log_z_is_a_sum_of_softplus() -> None:
    rbm = random_rbm(6, 4, 0.0)
    closed = sum(math.log1p(math.exp(bias)) for bias in [*rbm.visible_bias.tolist(), *rbm.hidden_bias.tolist()])
    assert float(torch.logsumexp(enumeration.log_masses(rbm), 0)) == pytest.approx(closed, abs=1e-12)


def test_gradient_of_log_unnormalised_is_that_of_its_definition() -> None:
    torch.manual_seed(0)
    rbm = random_rbm(6, 4, 1.0)
    definition = STATES @ rbm.visible_bias + torch.nn.functional.softplus(STATES @ rbm.weight + rbm.hidden_bias).sum(1)
    torch.testing.assert_close(rbm.log_unnormalised(STATES), definition, rtol=0, atol=1e-12)
    ours = torch.autograd.grad(rbm.log_unnormalised(STATES).sum(), list(rbm.parameters()))
    theirs = torch.autograd.grad(definition.sum(), list(rbm.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_second_derivatives_of_log_unnormalised_are_right() -> None:
    """In x and in the parameters, by finite differences: score matching and Hessians need them."""
    torch.manual_seed(5)
    rbm = random_rbm(4, 3, 1.0)
    x = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x, *_: rbm.log_unnormalised(x), (x, *rbm.parameters()))


def transition(rbm: RBM, beta: float, base: Tensor) -> Tensor:
    """p(v' | v) of one sweep of the annealed RBM, by enumeration of h [64, 64]."""
    h = bits(torch.arange(2**4), 4).double()
    p_h = torch.sigmoid(beta * (STATES @ rbm.weight + rbm.hidden_bias))
    p_v = torch.sigmoid((1 - beta) * base + beta * (h @ rbm.weight.t() + rbm.visible_bias))
    to_h = torch.exp(torch.log(p_h) @ h.t() + torch.log1p(-p_h) @ (1 - h).t())
    to_v = torch.exp(torch.log(p_v) @ STATES.t() + torch.log1p(-p_v) @ (1 - STATES).t())
    return to_h @ to_v


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_moves_follow_the_enumerated_transition(beta: float) -> None:
    """Frequencies of v' from each v; chi-square, false alarms 1e-5."""
    torch.manual_seed(1)
    rbm, base, num = random_rbm(6, 4, 0.7), torch.randn(6, dtype=torch.float64), 4000
    path = RBMPath(rbm, base)
    one = torch.tensor(beta, dtype=torch.float64)
    state, _ = path.move(STATES.repeat_interleave(num, 0), one, one)
    number = (state.long() * (2 ** torch.arange(5, -1, -1))).sum(1).reshape(64, num)
    counts = torch.stack([torch.bincount(row, minlength=64) for row in number]).double()
    expected = num * transition(rbm, beta, base).detach()
    likely = expected > 5
    statistic = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    freedom = int(likely.sum()) - 64
    assert abs(float(statistic) - freedom) < 4.5 * math.sqrt(2 * freedom)


def test_transition_leaves_the_annealed_distribution_invariant() -> None:
    torch.manual_seed(2)
    rbm, base, beta = random_rbm(6, 4, 1.0), torch.randn(6, dtype=torch.float64), 0.3
    hidden = torch.nn.functional.softplus(beta * (STATES @ rbm.weight + rbm.hidden_bias)).sum(1)
    p = torch.softmax(STATES @ ((1 - beta) * base + beta * rbm.visible_bias) + hidden, 0)
    torch.testing.assert_close(p @ transition(rbm, beta, base), p, rtol=0, atol=1e-12)


def test_increments_telescope_to_the_whole_path() -> None:
    torch.manual_seed(3)
    rbm, base = random_rbm(6, 4, 1.0), torch.randn(6, dtype=torch.float64)
    path, zero, half, one = RBMPath(rbm, base), *torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    whole = path.move(STATES, zero, one)[1]
    torch.testing.assert_close(path.move(STATES, zero, half)[1] + path.move(STATES, half, one)[1], whole)
    torch.testing.assert_close(whole, rbm.log_unnormalised(STATES) - STATES @ base - 4 * math.log(2))


def test_completed_states_have_the_model_as_their_law() -> None:
    """Exact samples against enumerated means: 4.5 standard errors of a mean of 20,000 bits."""
    torch.manual_seed(4)
    for hidden in (3, 8):
        rbm = random_rbm(6, hidden, 1.0)
        x = enumeration.samples(rbm, 20_000)
        mean = log_prob(rbm, STATES).exp() @ STATES
        error = (mean * (1 - mean) / 20_000).sqrt()
        assert ((x.mean(0) - mean).abs() < 4.5 * error).all()


def test_initialise_sets_the_smoothed_marginals() -> None:
    rbm = RBM(Event((1, 1, 2), "binary"), hidden=3)
    rbm.initialise(torch.tensor([[[[1.0, 0.0]]], [[[1.0, 0.0]]], [[[1.0, 1.0]]]]))
    torch.testing.assert_close(torch.sigmoid(rbm.visible_bias), torch.tensor([3.5 / 4, 1.5 / 4]))


@pytest.mark.parametrize(
    ("event", "settings", "key"),
    [
        (Event((4,), "real"), {}, "`dataset` must be binary for an RBM, but is real"),
        (Event((4,), "binary"), {"hidden": 0}, "model.hidden"),
        (Event((4,), "binary"), {"weight_std": -1.0}, "model.weight_std"),
    ],
)
def test_refuses(event: Event, settings: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        RBM(event, **settings)
