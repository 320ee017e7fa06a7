"""Likelihood estimators of latent variable models against a model whose log p(x) is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from dgmrun.estimators import marginal
from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.likelihood.ais import LatentAIS
from dgmrun.estimators.likelihood.elbo import ELBO
from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.estimators.likelihood.reverse_ais import LatentReverseAIS
from dgmrun.estimators.local import local
from dgmrun.estimators.marginal import active_units, traces
from dgmrun.estimators.spacing import linear
from dgmrun.latent import draws
from dgmrun.latent.bounds import iwae
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.vae import VAE
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded
from tests.models.test_vae import linear_vae, with_exact_posterior

METHODS = [
    ELBO(num_samples=50),
    Importance(num_samples=50),
    LatentAIS(num_chains=4, num_temperatures=20),
    ELBO(num_samples=20, local_steps=100),
    Importance(num_samples=20, local_steps=100),
]


def examples(model: LinearVAE, num: int) -> Tensor:
    with seeded(2, "examples"):
        return model.sample(num)


def scored(x: Tensor) -> Evidence:
    batch = Batch(x, torch.arange(len(x)))
    return Evidence(batch, batch)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_is_a_lower_bound_in_the_mean(method: ELBO | Importance | LatentAIS) -> None:
    model = linear_vae().float()
    x = examples(model, 200)
    with seeded(3, "bounds"):
        bounds, estimate = method(model, scored(x))
    short = model.log_marginal(x).detach().double() - bounds
    assert short.mean() > -4.5 * short.std() / math.sqrt(len(short))
    assert estimate.value == pytest.approx(float(bounds.mean()))
    assert estimate.standard_error == pytest.approx(float(bounds.std()) / math.sqrt(200))
    assert (estimate.kind, estimate.bias) == ("lower_bound", "down")
    assert estimate.interval is not None
    assert estimate.interval[1] is None


@pytest.mark.parametrize("method", [ELBO(num_samples=30), Importance(num_samples=30)])
def test_with_the_exact_posterior_both_are_exact(method: ELBO | Importance) -> None:
    model = with_exact_posterior(linear_vae()).float()
    x = examples(model, 50)
    bounds, _ = method(model, scored(x))
    expected = model.log_marginal(x).detach().double()
    if isinstance(method, Importance):
        torch.testing.assert_close(bounds, expected, atol=1e-4, rtol=1e-5)
    else:
        assert (bounds - expected).mean().abs() < 4.5 * (bounds - expected).std() / math.sqrt(50)


def test_importance_is_the_bound_of_so_many_samples_however_it_is_cut_into_blocks() -> None:
    """With N samples the relative variance of the mean weight is 1 / ESS - 1 / N."""
    model = linear_vae().float()
    x = examples(model, 30)
    with seeded(3, "bounds"):
        bounds, estimate = Importance(num_samples=30_000)(model, scored(x))
        again = iwae(model.trace(x, draws.sampled(30_000)).log_w.double())
    exact = model.log_marginal(x).detach().double()
    typical = 1 / math.sqrt(estimate.diagnostics["median_effective_sample_size"] or 1)
    assert (bounds - exact).median().abs() < 4 * typical
    assert (again - exact).median().abs() < 4 * typical
    assert [row[0] for row in estimate.curve][-1] == 30_000
    assert estimate.curve[-1][1:] == pytest.approx((estimate.value, *(estimate.interval or ())))
    assert estimate.curve[0][1] < estimate.value
    assert estimate.diagnostics["active_units_1"] == 2


def test_a_posterior_of_its_own_closes_the_gap_that_a_net_leaves() -> None:
    """The columns of W are orthogonal, so that the best diagonal posterior is exact."""
    model = linear_vae().float()
    x = examples(model, 50)
    with seeded(3, "bounds"):
        amortised, fitted = (ELBO(500, steps)(model, scored(x))[0] for steps in (0, 500))
    exact = model.log_marginal(x).detach().double()
    assert (exact - amortised).mean() > 0.3
    assert (exact - fitted).mean().abs() < 0.02
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_a_fitted_first_layer_leaves_the_layers_above_to_their_nets() -> None:
    """So no step is worse than the net's own posterior, beyond the noise of its samples."""
    with seeded(5, "two layers"):
        model, x = VAE(Event((6,), "binary"), [3, 2], [8, 8]), torch.rand(40, 6).round()
        net, start, fitted = (ELBO(2000, steps)(model, scored(x))[0] for steps in (None, 1, 300))
        own = model.trace(x, draws.sampled(1), local=model.guess(x))
    assert [q.mean.shape for q in own.q] == [(40, 3), (1, 40, 2)]
    assert (start - net).mean() > -0.01
    assert (fitted - net).mean() > 0.02


@pytest.mark.parametrize("chains", [1, 4])
def test_weights_of_annealing_are_unbiased_in_both_directions(chains: int) -> None:
    """E[w] = p(x) forwards; backwards from z of the posterior E[w] = 1 / p(x)."""
    model, betas = linear_vae().float(), linear(6)
    with seeded(7, "ais"), torch.no_grad():
        x, (z,) = model.dream(20_000)
        path = model.posterior_path(x).tuned(betas, 4)
        exact = model.log_marginal(x).double()
        forwards = (iwae(anneal(path, path.start(chains), betas)[1]) - exact).exp()
        backwards = (iwae(anneal(path, z.repeat(chains, 1, 1), betas.flip(0))[1]) + exact).exp()
    for ratio in (forwards, backwards):
        assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(len(ratio))


def test_a_model_without_nets_is_fitted_unasked() -> None:
    model = VAE(Event((2,), "real"), [1], [3], posterior="local")
    batch = Batch(torch.zeros(4, 2), torch.arange(4))
    fitted = local(model, batch, None)
    assert fitted is not None
    assert fitted.shape == (4, 2)
    assert torch.equal(local(model, batch, 0), torch.zeros(4, 2))
    batch = Batch(torch.zeros(4, 3), torch.arange(4))
    assert local(with_exact_posterior(linear_vae()).float(), batch, None) is None


def test_active_units_are_those_that_vary_between_examples() -> None:
    assert active_units(torch.tensor([[0.0, 1.0, 0.05], [0.3, 1.0, 0.0]])) == 1


def test_annealing_brackets_the_density_and_the_gap_shrinks_as_one_over_the_temperatures() -> None:
    """One chain an example, so that the gap is the mean of log w from both sides: it halves with each doubling."""
    model = linear_vae().float()
    gaps, errors, numbers = [], [], (16, 32, 64)
    with seeded(3, "ais"), torch.no_grad():
        x, (z,) = model.dream(4000)
        exact = model.log_marginal(x).double()
        for num in numbers:
            betas = linear(num + 1)
            path = model.posterior_path(x).tuned(betas, 4)
            below = iwae(anneal(path, path.start(1), betas)[1])
            above = -iwae(anneal(path, z, betas.flip(0))[1])
            error = [(side - exact).std() / math.sqrt(len(x)) for side in (below, above)]
            assert (below - exact).mean() < 4.5 * error[0]
            assert (above - exact).mean() > -4.5 * error[1]
            gaps.append(float((above - below).mean()))
            errors.append(float((above - below).std()) / math.sqrt(len(x)) / gaps[-1])
    for (wide, narrow), (a, b) in zip(pairwise(gaps), pairwise(errors), strict=True):
        assert abs(math.log(wide / narrow / 2)) < 4.5 * math.hypot(a, b) + 1 / numbers[0]  # the law is of many steps


def test_reverse_annealing_bounds_simulated_data_from_above() -> None:
    model, method = linear_vae().float(), LatentReverseAIS(400, 4, 50)
    with seeded(3, "ais"):
        x, (z,) = model.dream(method.simulates)
        upper, estimate = method(model, scored(x)._replace(latents=z[0]))
    above = upper - model.log_marginal(x).detach().double()
    assert above.mean() > -4.5 * above.std() / math.sqrt(400)
    assert (estimate.kind, estimate.bias) == ("upper_bound", "up")
    half = 3.0188824 * (estimate.standard_error or 0)  # 0.99865 quantile of t with 399 degrees of freedom
    assert estimate.interval == (None, pytest.approx(float(upper.mean()) + half))
    gap, error = estimate.diagnostics["gap"] or 0, estimate.diagnostics["standard_error_gap"] or 0
    assert gap > -4.5 * error
    assert gap > float(above.mean()) - 4.5 * error
    assert "made itself" in estimate.warnings[0]


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: ELBO(num_samples=0), "elbo.num_samples"),
        (lambda: Importance(num_samples=0), "importance.num_samples"),
        (lambda: Importance(local_steps=-1), "importance.local_steps"),
        (lambda: Importance(local_steps=True), "importance.local_steps"),
        (lambda: LatentAIS(num_chains=0), "ais.num_chains"),
        (lambda: LatentAIS(num_temperatures=1), "ais.num_temperatures"),
        (lambda: LatentAIS(spacing="quartic"), "ais.spacing"),
        (lambda: LatentReverseAIS(num_examples=1), "reverse_ais.num_examples"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: object, key: str) -> None:
    with pytest.raises(ValueError, match=f"`likelihood.{key}`"):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("cached", "most"), [(1, 1), (21, 10), (10**6, 700)])
@pytest.mark.parametrize("is_fitted", [False, True])
def test_traces_have_every_sample_of_every_example(
    cached: int, most: int, is_fitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marginal, "CACHED", cached)
    model = VAE(Event((2,), "real"), [3], [4])
    batch = Batch(torch.randn(7, 2), torch.arange(7))
    posterior = torch.randn(7, 6) if is_fitted else None
    seen = torch.zeros(7)
    for rows, trace in traces(model, batch, posterior, 25):
        assert trace.log_w.numel() <= most
        seen[rows] += len(trace.log_w)
        if posterior is not None:
            torch.testing.assert_close(trace.q[0].mean, posterior[rows, :3])
    assert (seen == 25).all()
