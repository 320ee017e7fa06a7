"""Restricted Boltzmann machines of real numbers and of classes, against enumeration, quadrature and closed forms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor
from torch.nn.functional import softplus

from dgmrun.estimators import enumeration
from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.spacing import linear, quadratic
from dgmrun.models import RBM, GaussianRBM, PottsRBM
from dgmrun.nn.binary import bits
from dgmrun.nn.harmonium import Harmonium
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.objectives.contrastive.half_step import half_step
from dgmrun.protocols.values import Event

H = bits(torch.arange(8), 3).double()
"""Every state of three hidden units."""
CLASSES = torch.tensor(list(itertools.product(range(3), repeat=4)))
"""Every state of four units of three classes."""


def randomised(model: Any, scale: float) -> Any:
    """The model with N(0, scale^2) weights and N(0, 1 / 4) biases and log-scales, float64."""
    for name, parameter in model.double().requires_grad_(False).named_parameters():
        parameter.normal_(std=scale if name == "weight" else 0.5)
    return model


def gaussian(dims: int = 2, hidden: int = 3, scale: float = 1.0) -> GaussianRBM:
    model: GaussianRBM = randomised(GaussianRBM(Event((dims,), "real"), hidden), scale)
    return model


def potts(scale: float = 1.0) -> PottsRBM:
    model: PottsRBM = randomised(PottsRBM(Event((4,), "categorical", 3), 3), scale)
    return model


def log_z(model: Harmonium) -> float:
    return float(enumeration.log_masses(model).logsumexp(0))


def joint(model: Any, v: Tensor, h: Tensor) -> Tensor:
    """log f(v, h) of each v and h by its definition, [v, h]."""
    if isinstance(model, GaussianRBM):
        centred, variance = v - model.visible_bias, (model.log_scale.exp() + 0.001) ** 2
        of_v = -(centred.square() / variance).sum(1) / 2
        coupled = (centred / variance) @ model.weight @ h.t()
    else:
        weight = model.weight.reshape(4, 3, -1)
        of_v = sum(model.visible_bias[i, v[:, i]] for i in range(4))
        coupled = sum(weight[i, v[:, i]] for i in range(4)) @ h.t()
    return of_v[:, None] + coupled + h @ model.hidden_bias


REAL = torch.linspace(-2, 2, 30, dtype=torch.float64).reshape(15, 2)
of_both = pytest.mark.parametrize(("make", "v"), [(gaussian, REAL), (potts, CLASSES)], ids=["gaussian", "potts"])


@of_both
def test_log_f_sums_the_joint_over_hidden_units(make: Any, v: Tensor) -> None:
    model = make()
    torch.testing.assert_close(model.log_unnormalised(v), joint(model, v, H).logsumexp(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(model.scored(v)[1], joint(model, v, H).softmax(1) @ H, rtol=0, atol=1e-12)


@of_both
def test_gradient_of_log_f_is_the_mean_of_that_of_the_joint(make: Any, v: Tensor) -> None:
    """In closed form: sum_h p(h | v) d log f(v, h)."""
    model = make().requires_grad_(True)
    weight = joint(model, v, H).detach().softmax(1)
    ours = torch.autograd.grad(model.log_unnormalised(v).sum(), list(model.parameters()))
    theirs = torch.autograd.grad((weight * joint(model, v, H)).sum(), list(model.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_log_z_of_real_units_is_the_integral_of_f() -> None:
    """By the rectangle rule, which converges exponentially for such f: in one dimension and in two."""
    line = torch.linspace(-60, 60, 6001, dtype=torch.float64)
    one = gaussian(dims=1)
    integral = one.log_unnormalised(line[:, None]).logsumexp(0) + math.log(0.02)
    assert log_z(one) == pytest.approx(float(integral), abs=1e-9)
    line = torch.linspace(-20, 20, 801, dtype=torch.float64)
    two = gaussian(dims=2)
    integral = two.log_unnormalised(torch.cartesian_prod(line, line)).logsumexp(0) + 2 * math.log(0.05)
    assert log_z(two) == pytest.approx(float(integral), abs=1e-9)


def test_log_z_of_classes_is_the_sum_over_all_of_them() -> None:
    model = potts()
    assert log_z(model) == pytest.approx(float(model.log_unnormalised(CLASSES).logsumexp(0)), abs=1e-10)


def test_without_weights_log_z_is_that_of_independent_units() -> None:
    one, two = gaussian(dims=4, scale=0.0), potts(scale=0.0)
    scale = one.log_scale.exp() + 0.001
    of_real = (scale.log() + math.log(2 * math.pi) / 2).sum() + softplus(one.hidden_bias).sum()
    of_classes = two.visible_bias.exp().sum(1).log().sum() + softplus(two.hidden_bias).sum()
    assert log_z(one) == pytest.approx(float(of_real), abs=1e-12)
    assert log_z(two) == pytest.approx(float(of_classes), abs=1e-12)


def test_two_classes_are_bits() -> None:
    """The machine of two classes is the binary one with differences of its weights and biases."""
    both = randomised(PottsRBM(Event((4,), "binary"), 3), 1.0)
    binary = RBM(Event((4,), "binary"), 3).double().requires_grad_(False)
    weight = both.weight.reshape(4, 2, 3)
    binary.weight.copy_(weight[:, 1] - weight[:, 0])
    binary.visible_bias.copy_(both.visible_bias[:, 1] - both.visible_bias[:, 0])
    binary.hidden_bias.copy_(both.hidden_bias + weight[:, 0].sum(0))
    v = bits(torch.arange(16), 4).double()
    constant = both.visible_bias[:, 0].sum()
    torch.testing.assert_close(both.log_unnormalised(v), binary.log_unnormalised(v) + constant, rtol=0, atol=1e-12)
    torch.testing.assert_close(both.visible(H).probs[..., 1], binary.visible(H).probs, rtol=0, atol=1e-12)


@of_both
def test_conditionals_are_those_of_the_joint(make: Any, v: Tensor) -> None:
    """log p(v | h) and log p(h | v) differ from log f(v, h) by what depends on h, or v, alone."""
    model = make()
    log_joint = joint(model, v, H)
    of_v = torch.stack([model.visible(h).log_prob(v).sum(1) for h in H], 1)
    torch.testing.assert_close(log_joint - of_v, (log_joint - of_v)[:1].expand(len(v), -1), rtol=0, atol=1e-11)
    torch.testing.assert_close((log_joint - of_v)[0], enumeration.log_masses(model), rtol=0, atol=1e-11)
    logits = model.hidden_logits(v)
    of_h = logits @ H.t() - softplus(logits).sum(1, keepdim=True)
    torch.testing.assert_close(log_joint.log_softmax(1), of_h, rtol=0, atol=1e-11)


def test_the_walk_of_classes_leaves_the_exact_joint_invariant() -> None:
    """Frequencies after a sweep from exact samples, of all 81 states: chi-square with a false alarm of 1e-5."""
    model, num = potts(), 40_000
    start = enumeration.samples(model, num)
    p = model.log_unnormalised(CLASSES).softmax(0)
    for x in (start, model.walk(start, 1)):
        counts = torch.bincount((x * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81)
        expected = num * p
        likely = expected > 5
        statistic = float(((counts - expected)[likely] ** 2 / expected[likely]).sum())
        assert statistic < chi2.isf(1e-5, int(likely.sum()))


def test_the_walk_of_real_numbers_leaves_the_exact_joint_invariant() -> None:
    """Means and second moments of exact samples, before and after sweeps, within 4 standard errors of exact ones."""
    model, num = gaussian(), 40_000
    share, mean = enumeration.log_masses(model).softmax(0), model.visible(H).mean
    second = (model.visible(H).variance + mean.square()).T @ share
    first, cross = mean.T @ share, (mean[:, 0] * mean[:, 1]) @ share
    exact = torch.cat((first, second, cross[None]))
    start = enumeration.samples(model, num)
    for x in (start, model.walk(start, 3)):
        found = torch.cat((x, x.square(), x[:, :1] * x[:, 1:]), 1)
        assert ((found.mean(0) - exact).abs() < 4 * found.std(0) / math.sqrt(num)).all()


@of_both
def test_increments_telescope_to_the_whole_path(make: Any, v: Tensor) -> None:
    model = make()
    path, zero, half, one = model.annealed(v), *torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    whole = path.move(v, zero, one)[1]
    torch.testing.assert_close(path.move(v, zero, half)[1] + path.move(v, half, one)[1], whole)
    of_base = model.law(path.base).log_prob(v).sum(1) + path.log_normaliser()
    torch.testing.assert_close(whole, model.log_unnormalised(v) - of_base, rtol=0, atol=1e-10)


@of_both
def test_the_mean_weight_of_annealing_is_unbiased_for_z(make: Any, v: Tensor) -> None:
    """Few temperatures, 20,000 chains: within 4 standard errors."""
    model = make()
    path = model.annealed(v)
    _, log_w = anneal(path, path.start(20_000), linear(6))
    w = (log_w + path.log_normaliser() - log_z(model)).exp()
    assert abs(float(w.mean()) - 1) < 4 * float(w.std()) / math.sqrt(len(w))


@of_both
def test_a_move_leaves_the_annealed_distribution_invariant(make: Any, v: Tensor) -> None:
    """Chains annealed to beta = 0.6 and weighted have its means, before and after another move: 4 standard errors."""
    model, num = make(), 20_000
    path, beta = model.annealed(v), torch.tensor(0.6, dtype=torch.float64)
    state, log_w = anneal(path, path.start(num), 0.6 * quadratic(20))
    w = (log_w - log_w.logsumexp(0)).exp()[:, None]
    before, after = (model.statistics(each).flatten(1) for each in (state, path.move(state, beta, beta)[0]))
    change = num * w * (after - before)
    assert (change.mean(0).abs() < 4 * change.std(0) / math.sqrt(num) + 1e-12).all()


@of_both
def test_the_gradient_of_contrast_at_the_model_is_that_of_the_likelihood(make: Any, v: Tensor) -> None:
    """With states of the model, E[d log f] = d log Z: 20,000 exact samples, 4 standard errors."""
    model = make().requires_grad_(True)
    x = enumeration.samples(model, 20_000)
    each = torch.sigmoid(model.hidden_logits(x)).detach()
    mass = (H @ model.hidden_bias + model.log_partition(model.given(H))).logsumexp(0)
    (exact,) = torch.autograd.grad(mass, [model.hidden_bias])
    assert ((each.mean(0) - exact).abs() < 4 * each.std(0) / math.sqrt(len(each))).all()
    (found,) = torch.autograd.grad(contrast(model, x[:5], x), [model.hidden_bias])
    torch.testing.assert_close(found, each.mean(0) - each[:5].mean(0), rtol=0, atol=1e-10)


@of_both
def test_the_half_step_has_the_log_probabilities_of_both_ways(make: Any, v: Tensor) -> None:
    """log q(h | x) - log p(x | h) is log f of x less that of h: the joint cancels."""
    model, x = make(), v[:5]
    step = half_step(model, x, draws=2)
    assert step.bound.shape == (2, 5)
    own = step.log_q.diagonal(dim1=-2, dim2=-1)
    of_h = (own - step.log_px + model.log_unnormalised(x)).exp()
    masses = enumeration.log_masses(model).exp()
    assert torch.isclose(of_h[..., None], masses, rtol=1e-9).any(-1).all()


def test_initialise_matches_the_marginals() -> None:
    x = 3 + 2 * torch.randn(500, 2)
    one = GaussianRBM(Event((2,), "real"), 3, weight_std=0.0)
    one.initialise(x)
    torch.testing.assert_close(one.visible(H[0].float()).mean, x.mean(0))
    torch.testing.assert_close(one.visible(H[0].float()).stddev, x.std(0, correction=0))
    two = PottsRBM(Event((2,), "categorical", 3), 3, weight_std=0.0)
    two.initialise(torch.tensor([[0, 1], [2, 1], [2, 1]]))
    expected = torch.tensor([[1.5, 0.5, 2.5], [0.5, 3.5, 0.5]]) / 4.5
    torch.testing.assert_close(two.visible(H[0].float()).probs, expected)


@pytest.mark.parametrize(
    ("model", "event", "settings", "key"),
    [
        (GaussianRBM, Event((4,), "binary"), {}, "`dataset` must be real for a Gaussian-binary RBM, but is binary"),
        (PottsRBM, Event((4,), "real"), {}, "`dataset` must be categorical or levels or binary for a Potts RBM"),
        (GaussianRBM, Event((4,), "real"), {"hidden": 0}, "`model.hidden` must be a whole number of at least 1"),
        (PottsRBM, Event((4,), "levels", 3), {"weight_std": -1.0}, "`model.weight_std` must not be negative"),
    ],
)
def test_refuses(model: Any, event: Event, settings: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        model(event, **settings)
