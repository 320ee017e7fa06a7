"""Hamiltonian Monte Carlo leaves its target as it is."""

from __future__ import annotations

import torch

from dgmrun.estimators.spacing import linear
from dgmrun.nn.hmc import hmc
from dgmrun.rng import seeded
from tests.models.test_vae import linear_vae


def test_trajectories_leave_a_correlated_gaussian_invariant() -> None:
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.5]], dtype=torch.float64)
    precision, root, num = covariance.inverse(), torch.linalg.cholesky(covariance), 50_000
    with seeded(1, "hmc"):
        z = torch.randn(num, 1, 2, dtype=torch.float64) @ root.t()
        for _ in range(5):
            z, acceptance = hmc(lambda z: -0.5 * (z @ precision * z).sum(-1), z, torch.tensor([0.5]))
    z = z[:, 0]
    assert 0.5 < acceptance.mean() < 0.99
    assert (z.mean(0).abs() < 4.5 * (covariance.diagonal() / num).sqrt()).all()
    error = ((covariance.square() + covariance.diagonal()[:, None] * covariance.diagonal()) / num).sqrt()
    assert ((z.t().cov() - covariance).abs() < 4.5 * error).all()


def test_a_step_too_large_is_never_taken() -> None:
    z = torch.zeros(10, 1, 2)
    end, acceptance = hmc(lambda z: -0.5 * z.square().sum(-1), z, torch.tensor([1e20]))
    assert torch.equal(end, z)
    assert not acceptance.any()


def test_steps_are_tuned_to_be_accepted_as_often_as_is_asked() -> None:
    model = linear_vae().float()
    with seeded(1, "hmc"):
        x = model.sample(20)
        path = model.posterior_path(x).tuned(linear(200), 10)
        assert path.step_sizes is not None
        z = path.start(500)
        for _ in range(10):
            z, acceptance = hmc(lambda z: path.log_prior(z) + path.log_likelihood(z), z, path.step_sizes[-1])
    assert 0.5 < acceptance.mean() < 0.8
