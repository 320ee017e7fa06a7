"""Bounds on log p(x) against models whose log p(x) is known."""

from __future__ import annotations

import math

import torch

from dgmrun.latent import draws
from dgmrun.latent.bounds import divergences, elbo, iwae, resampled
from dgmrun.models.vae import VAE
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded
from tests.models.test_vae import linear_vae, with_exact_posterior

K = (1, 2, 4, 8, 16)


def test_the_importance_weighted_bound_rises_to_the_density() -> None:
    """The same 100,000 samples in groups of k: mean bounds are nondecreasing, each below log p(x)."""
    model = linear_vae().double()
    with seeded(1, "bounds"):
        x = model.sample(4).double()
        log_w = model.trace(x, draws.sampled(96_000)).log_w.detach()
    groups = [iwae(log_w.reshape(k, -1, 4)) for k in K]
    for smaller, larger in zip(groups, groups[1:], strict=False):
        error = (smaller.var(0) / len(smaller) + larger.var(0) / len(larger)).sqrt()
        assert (larger.mean(0) - smaller.mean(0) > -4.5 * error).all()
        assert (larger.mean(0) < model.log_marginal(x) + 4.5 * error).all()
    assert (groups[-1].mean(0) - groups[0].mean(0) > 0.1).any()


def test_every_bound_is_the_density_where_the_posterior_is_exact() -> None:
    model = with_exact_posterior(linear_vae())
    x = torch.randn(5, 3, dtype=torch.float64)
    trace = model.trace(x, draws.sampled(50_000))
    torch.testing.assert_close(iwae(trace.log_w), model.log_marginal(x))
    bound = elbo(trace)
    error = bound.std(0) / math.sqrt(len(bound))
    assert ((bound.mean(0) - model.log_marginal(x)).abs() < 4.5 * error).all()


def test_the_elbo_is_the_mean_log_weight_whatever_is_in_closed_form() -> None:
    model, x = VAE(Event((4,), "binary"), [2, 3], [4, 4], depth=1), torch.rand(6, 4).round()
    with seeded(1, "bounds"), torch.no_grad():
        trace = model.trace(x, draws.sampled(50_000))
    error = (elbo(trace) - trace.log_w).std(0) / math.sqrt(50_000)
    assert ((elbo(trace) - trace.log_w).mean(0).abs() < 4.5 * error).all()
    lower, top = divergences(trace)
    assert (lower.shape, top.shape) == ((50_000, 6, 2), (50_000, 6, 3))
    torch.testing.assert_close(elbo(trace), trace.log_px - lower.sum(-1) - top.sum(-1))
    assert (top >= 0).all()


def test_closed_form_of_the_divergence() -> None:
    """KL(N(mu, s^2) || N(0, 1)) = (mu^2 + s^2 - 1) / 2 - log s."""
    model, x = linear_vae(), torch.randn(5, 3, dtype=torch.float64)
    trace = model.trace(x, draws.sampled(1))
    (kl,) = divergences(trace)
    mean, scale = trace.q[0].mean, trace.q[0].stddev
    torch.testing.assert_close(kl[0], (mean.square() + scale.square() - 1) / 2 - scale.log())


def test_resampling_by_weight_tends_to_the_posterior() -> None:
    """With many samples, the resampled z has the mean and variance of p(z|x), from whatever q."""
    model, exact = linear_vae(), with_exact_posterior(linear_vae())
    x = torch.randn(1, 3, dtype=torch.float64).expand(4000, 3)
    with seeded(1, "bounds"):
        local = torch.cat((torch.full((4000, 2), 0.3), torch.full((4000, 2), 0.2)), 1).double()
        (z,) = resampled(model.trace(x, draws.sampled(500), local=local))
    posterior = exact.trace(x[:1], draws.mean).q[0]
    error = posterior.stddev[0] / math.sqrt(4000)
    assert ((z[0].mean(0) - posterior.mean[0]).abs() < 4.5 * error).all()
    assert ((z[0].var(0) / posterior.variance[0]).log().abs() < 4.5 * math.sqrt(2 / 4000)).all()
