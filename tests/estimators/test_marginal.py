"""Likelihood estimators of latent variable models against a model whose log p(x) is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmrun.bounds import iwae
from dgmrun.estimators.ais import anneal, linear
from dgmrun.estimators.latent_ais import LatentAIS, LatentReverseAIS
from dgmrun.estimators.local import local
from dgmrun.estimators.marginal import ELBO, Importance, active_units
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.vae import VAE
from dgmrun.protocols import Event
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


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_is_a_lower_bound_in_the_mean(method: ELBO | Importance | LatentAIS) -> None:
    model = linear_vae().float()
    x = examples(model, 200)
    with seeded(3, "bounds"):
        bounds, estimate = method(model, x, x)
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
    bounds, _ = method(model, x, x)
    expected = model.log_marginal(x).detach().double()
    if isinstance(method, Importance):
        torch.testing.assert_close(bounds, expected, atol=1e-4, rtol=1e-5)
    else:
        assert (bounds - expected).mean().abs() < 4.5 * (bounds - expected).std() / math.sqrt(50)


def test_importance_is_the_bound_of_so_many_samples_however_it_is_cut_into_blocks() -> None:
    model = linear_vae().float()
    x = examples(model, 3)
    with seeded(3, "bounds"):
        bounds, estimate = Importance(num_samples=30_000)(model, x, x)
    assert (bounds - model.log_marginal(x).double()).abs().max() < 0.05
    assert [row[0] for row in estimate.curve][-1] == 30_000
    assert estimate.curve[-1][1] == pytest.approx(estimate.value)
    assert estimate.curve[0][1] < estimate.value
    assert estimate.diagnostics["active_units_1"] == 2


def test_a_posterior_of_its_own_closes_the_gap_that_a_net_leaves() -> None:
    """The columns of W are orthogonal, so that the best diagonal posterior is exact."""
    model = linear_vae().float()
    x = examples(model, 50)
    with seeded(3, "bounds"):
        amortised, fitted = (ELBO(200, steps)(model, x, x)[0] for steps in (0, 500))
    exact = model.log_marginal(x).detach().double()
    assert (exact - amortised).mean() > 0.1
    assert (exact - fitted).mean().abs() < 0.02


def test_a_model_without_nets_is_fitted_unasked() -> None:
    model = VAE(Event((2,), "real"), [1], [3], posterior="local")
    fitted = local(model, torch.zeros(4, 2), None)
    assert fitted is not None
    assert fitted.shape == (4, 2)
    assert local(with_exact_posterior(linear_vae()).float(), torch.zeros(4, 3), None) is None


def test_active_units_are_those_that_vary_between_examples() -> None:
    assert active_units(torch.tensor([[0.0, 1.0, 0.05], [0.3, 1.0, 0.0]])) == 1


def test_annealing_brackets_the_density_and_the_gap_shrinks_as_one_over_the_temperatures() -> None:
    """One chain an example, so that the gap is the mean of log w from both sides: it halves with each doubling."""
    model = linear_vae().float()
    gaps, numbers = [], (8, 16, 32)
    with seeded(3, "ais"), torch.no_grad():
        x, (z,) = model.dream(4000)
        exact = model.log_marginal(x).double()
        for num in numbers:
            betas = linear(num + 1)
            path = model.posterior_path(x).tuned(betas, 4)
            below = iwae(anneal(path, path.start(1), betas)[1])
            above = -iwae(anneal(path, z, betas.flip(0))[1])
            error = [(side - exact).std() / math.sqrt(4000) for side in (below, above)]
            assert (below - exact).mean() < 4.5 * error[0]
            assert (above - exact).mean() > -4.5 * error[1]
            gaps.append(float((above - below).mean()))
    for wide, narrow in zip(gaps, gaps[1:], strict=False):
        assert wide / narrow == pytest.approx(2, rel=0.2)


def test_reverse_annealing_bounds_simulated_data_from_above() -> None:
    model = linear_vae().float()
    with seeded(3, "ais"):
        upper, estimate = LatentReverseAIS(400, 4, 50)(model, torch.empty(0), torch.empty(0))
    assert len(upper) == 400
    assert (estimate.kind, estimate.bias) == ("upper_bound", "up")
    assert estimate.interval is not None
    assert estimate.interval[0] is None
    gap, error = estimate.diagnostics["gap"], estimate.diagnostics["standard_error_gap"]
    assert gap is not None
    assert error is not None
    assert -4.5 * error < gap < 0.2
    assert "made itself" in estimate.warnings[0]


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: ELBO(num_samples=0), "elbo.num_samples"),
        (lambda: Importance(num_samples=0), "importance.num_samples"),
        (lambda: Importance(local_steps=-1), "importance.local_steps"),
        (lambda: LatentAIS(num_chains=0), "ais.num_chains"),
        (lambda: LatentAIS(num_temperatures=1), "ais.num_temperatures"),
        (lambda: LatentAIS(spacing="cubic"), "ais.spacing"),
        (lambda: LatentReverseAIS(num_examples=1), "reverse_ais.num_examples"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: object, key: str) -> None:
    with pytest.raises(ValueError, match=f"`likelihood.{key}`"):
        make()  # type: ignore[operator]
