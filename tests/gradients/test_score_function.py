"""Score-function estimators against enumeration: every tuple of samples, weighted by its probability."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.gradients.layers import learning, rao_blackwellised
from dgmrun.gradients.score_function import leave_one_out, score_function
from dgmrun.gradients.vimco import vimco, without_each
from dgmrun.latent.bounds import iwae
from dgmrun.latent.draws import given
from dgmrun.latent.trace import Trace
from dgmrun.models.sbn import SBN
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.score_function import ScoreFunction
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded
from tests.binary import gradient, sbn

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
X = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
BATCH = Batch(X, torch.arange(1))


def traces(model: SBN, k: int) -> list[tuple[Tensor, Trace]]:
    """Every k-tuple of z: its probability, and its trace."""
    states = bits(torch.arange(8), 3).double()
    found = []
    for tuple_ in itertools.product(states, repeat=k):
        trace = model.trace(X, given(torch.stack(tuple_).unsqueeze(1).split(model.hidden, -1)))
        found.append((sum(trace.log_q).detach().sum().exp(), trace))  # type: ignore[union-attr]
    return found


def exact(model: SBN, k: int) -> Tensor:
    """The gradient of L_k."""
    bound = sum(
        sum(trace.log_q).sum().exp() * iwae(trace.log_w).sum()  # type: ignore[union-attr]
        for _, trace in traces(model, k)
    )
    return gradient(model, bound)  # type: ignore[arg-type]


def is_of_layer(model: SBN, layer: int) -> Tensor:
    """Which entries of `gradient` are of a layer's posterior."""
    return torch.cat(
        [
            torch.full((parameter.numel(),), name.startswith(f"encoders.{layer}."))
            for name, parameter in model.named_parameters()
        ]
    )


def objective(model: SBN, **settings: object) -> ScoreFunction:
    """With running moments as after some training, and nets that know something."""
    with seeded(5, "objective"):
        made = ScoreFunction(model, OPTIMIZATION, **settings).double()  # type: ignore[arg-type]
    known = {"moments": [[-2.0, -1.5], [4.0, 9.0]], "scores": [[-0.4, -0.5, 0.1], [0.2, 0.3, 0.1]]}
    state = made.baselines.state
    made.baselines.state = {name: torch.tensor(known[name], dtype=torch.float64) for name in state}
    return made


def mean_estimate(made: ScoreFunction) -> Tensor:
    """Of the gradient of the ELBO, over every tuple of samples."""
    model = made.model
    assert isinstance(model, SBN)
    return sum(  # type: ignore[return-value]
        chance * gradient(model, -made.surrogate(trace, BATCH)[0]) for chance, trace in traces(model, made.k)
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layer_local": False},
        {"analytic": True},
        {"analytic": True, "layer_local": False},
        {"rao_blackwell": True},
        {"rao_blackwell": True, "analytic": True, "layer_local": False},
        {"centre": "mean"},
        {"centre": "optimal"},
        {"centre": "optimal", "rao_blackwell": True, "network": 3},
        {"network": 3},
        {"centre": "mean", "network": 3, "analytic": True},
        {"k": 2, "leave_one_out": True},
        {"k": 2, "leave_one_out": True, "rao_blackwell": True, "centre": "optimal"},
        {"k": 2, "leave_one_out": True, "centre": "mean", "network": 3},
    ],
)
def test_with_any_baseline_it_is_unbiased(settings: dict[str, object]) -> None:
    model = sbn([2, 1])
    torch.testing.assert_close(mean_estimate(objective(model, **settings)), exact(model, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("scale", "divisors"), [("deviation", (2, 3)), ("variance", (4, 9))])
def test_a_scale_multiplies_the_mean_of_each_layer_by_a_known_factor(scale: str, divisors: tuple[int, ...]) -> None:
    model = sbn([2, 1])
    expected = exact(model, 1)
    for layer, divisor in enumerate(divisors):
        expected[is_of_layer(model, layer)] /= divisor
    torch.testing.assert_close(mean_estimate(objective(model, scale=scale)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("hidden", "prior", "analytic"),
    [
        ([2, 1], "darn", False),
        ([2, 1], "nade", False),
        ([1, 1, 1], "factorised", False),
        ([1, 1, 1], "factorised", True),
    ],
)
def test_rao_blackwellised_it_is_unbiased_whatever_the_prior(hidden: list[int], prior: str, analytic: bool) -> None:
    model = sbn(hidden, prior=prior, width=2)
    made = ScoreFunction(model, OPTIMIZATION, rao_blackwell=True, analytic=analytic).double()
    torch.testing.assert_close(mean_estimate(made), exact(model, 1), rtol=0, atol=1e-12)


def test_the_signal_of_a_unit_leaves_out_what_the_others_add_on_their_own() -> None:
    model = sbn([2, 2])
    z = [torch.tensor([1.0, 0.0], dtype=torch.float64).reshape(1, 1, 2)] * 2
    trace = model.trace(X, given(z))
    _, signals = learning(trace)
    log_p, log_q = (torch.stack(each).sum(0) for each in (trace.log_p, trace.log_q))
    lower, upper = rao_blackwellised(trace, signals)
    of_q, of_p = trace.log_q_units, [p.log_prob(units) for p, units in zip(trace.p, z, strict=True)]
    expected = trace.log_p[1] + of_p[1][..., 0] - of_q[1][..., 0]  # of the first unit on top
    torch.testing.assert_close(upper[..., 0], expected)
    expected = log_p - log_q + of_q[0][..., 0]  # of the second one below
    torch.testing.assert_close(lower[..., 1], expected)


def test_the_optimal_centre_is_what_the_sum_over_states_says() -> None:
    model = sbn([2, 1])
    made = objective(model, centre="optimal")
    made.baselines.state["scores"].zero_()
    num = 200_000
    made.loss(Batch(X.repeat(num, 1), torch.arange(num)))
    of_r, of_h2 = (torch.zeros(3, dtype=torch.float64) for _ in range(2))
    for chance, trace in traces(model, 1):
        _, signals = learning(trace)
        h2 = [(z - q.mean).square().flatten() for z, q in zip(trace.z, trace.q, strict=True)]
        of_r += chance * torch.cat([h * s.flatten() for h, s in zip(h2, signals, strict=True)]).detach()
        of_h2 += chance * torch.cat(h2).detach()
    torch.testing.assert_close(torch.cat(made.baselines._centres()), of_r / of_h2, rtol=0, atol=0.03)


def test_a_scale_below_one_changes_nothing() -> None:
    made = objective(sbn([2, 1]), scale="deviation")
    made.baselines.state["moments"] = torch.full((2, 2), 0.25, dtype=torch.float64)
    torch.testing.assert_close(mean_estimate(made), exact(sbn([2, 1]), 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("baseline", "share"),
    [(leave_one_out, 1.0), (lambda f: f.mean(), 0.5)],  # (k - 1) / k, as it contains the sample itself
)
def test_of_means_as_baselines_that_of_the_others_alone_is_unbiased(
    baseline: Callable[[Tensor], Tensor], share: float
) -> None:
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    f, log_q = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), logits.log_softmax(0)
    (truth,) = torch.autograd.grad((log_q.exp() * f).sum(), logits, retain_graph=True)
    mean = torch.zeros(3, dtype=torch.float64)
    for pair in itertools.product(range(3), repeat=2):
        chosen, chance = f[list(pair)], log_q[list(pair)].detach().sum().exp()
        surrogate = score_function((chosen - baseline(chosen)).unsqueeze(-1), log_q[list(pair)].unsqueeze(-1))
        mean += chance * torch.autograd.grad(surrogate, logits, retain_graph=True)[0]
    torch.testing.assert_close(mean, share * truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_vimco_is_unbiased_for_the_importance_weighted_bound(k: int) -> None:
    model = sbn([2, 1])
    estimate = sum(
        chance * gradient(model, vimco(trace.log_w, sum(trace.log_q)))  # type: ignore[arg-type]
        for chance, trace in traces(model, k)
    )
    torch.testing.assert_close(estimate, exact(model, k), rtol=0, atol=1e-12)


def test_without_each_is_the_bound_with_a_geometric_mean_in_its_place() -> None:
    log_w = torch.tensor([[0.5], [-1.0], [2.0]], dtype=torch.float64)
    w = log_w.flatten().exp()
    expected = [((w[1] * w[2]).sqrt() + w[1] + w[2]) / 3, ((w[0] * w[2]).sqrt() + w[0] + w[2]) / 3]
    expected.append(((w[0] * w[1]).sqrt() + w[0] + w[1]) / 3)
    torch.testing.assert_close(without_each(log_w).flatten(), torch.stack(expected).log())


def test_the_best_constant_baseline_leaves_one_unit_no_variance() -> None:
    logit = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    p = torch.sigmoid(logit).detach()
    f = torch.tensor([0.45**2, 0.55**2], dtype=torch.float64)
    best = p * f[0] + (1 - p) * f[1]
    log_q = torch.stack((-torch.nn.functional.softplus(logit), -torch.nn.functional.softplus(-logit)))
    found = [
        torch.autograd.grad(score_function(f[b : b + 1] - best, log_q[b : b + 1]), logit, retain_graph=True)[0]
        for b in (0, 1)
    ]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], (1 - 2 * 0.45) * p * (1 - p))


@pytest.mark.parametrize("kind", ["darn", "nade"])
def test_layers_without_a_divergence_in_closed_form_are_unbiased_and_not_analytic(kind: str) -> None:
    model = sbn([2, 1], prior=kind, posterior=kind, width=2)
    torch.testing.assert_close(mean_estimate(objective(model)), exact(model, 1), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"`objective\.analytic` must be false"):
        ScoreFunction(model, OPTIMIZATION, analytic=True)


def test_settings_that_make_no_estimator_are_named() -> None:
    for settings, key in (
        ({"leave_one_out": True}, "k"),
        ({"scale": "range"}, "scale"),
        ({"centre": "median"}, "centre"),
        ({"network": -1}, "network"),
        ({"analytic": True, "scale": "deviation"}, "scale"),
    ):
        with pytest.raises(ValueError, match=rf"`objective\.{key}`"):
            ScoreFunction(sbn([2, 1]), OPTIMIZATION, **settings)  # type: ignore[arg-type]
