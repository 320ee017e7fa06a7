"""Objectives of latent variable models: what they reach, and their gradients against other means."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from dgmrun.data.source import InMemorySource
from dgmrun.latent.bounds import divergences
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.vae import VAE
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.elbo import ELBO
from dgmrun.objectives.variational.iwae import IWAE
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))


def data() -> Tensor:
    """200 points in 5 dimensions, 3 of them with little variance."""
    with seeded(1, "data"):
        return torch.randn(200, 5) @ torch.diag(torch.tensor([2.0, 1.2, 0.4, 0.3, 0.2])) @ torch.linalg.qr(
            torch.randn(5, 5)
        )[0] + torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5])


def ppca(x: Tensor, latent: int) -> float:
    """The highest mean log-likelihood (Tipping and Bishop 1999, equation 9 at its maximum), in nats."""
    eigenvalues = torch.linalg.eigvalsh((x - x.mean(0)).double().t().cov(correction=0)).flip(0)
    noise, dims = eigenvalues[latent:].mean(), x.shape[1]
    spread = eigenvalues[:latent].log().sum() + (dims - latent) * noise.log()
    return float(-0.5 * (dims * math.log(2 * math.pi) + spread + dims))


def train(objective: Variational, x: Tensor, steps: int, rate: float) -> None:
    """Every batch all of the data; the learning rate falls to 0."""
    optimizer = Adam(objective.parameters(), lr=rate)
    schedule = CosineAnnealingLR(optimizer, steps)
    batch = Batch(x, torch.arange(len(x)))
    for _ in range(steps):
        optimizer.zero_grad()
        objective.loss(batch)[0].backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("posterior", ["amortised", "local"])
def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca(posterior: str) -> None:
    x = data()
    with seeded(1, "train"):
        model = LinearVAE(Event((5,), "real"), 2, posterior)
        model.initialise(x)
        objective = ELBO(model, OPTIMIZATION, k=8)
        objective.prepare(InMemorySource(x, None, len(x), seed=0))
        train(objective, x, 1000, 0.2)
    best, reached = ppca(x, 2), model.log_marginal(x).mean().item()
    assert best - 1e-3 < reached < best + 1e-4
    with torch.no_grad():
        bounds = [float(-objective.loss(Batch(x, torch.arange(len(x))))[1]["bound"]) for _ in range(200)]
    assert sum(bounds) / len(bounds) > best - 5e-3  # the columns of W have become orthogonal


def test_weight_decay_is_for_the_weights_of_the_model_alone() -> None:
    objective = ELBO(LinearVAE(Event((5,), "real"), 2, "local"), OPTIMIZATION)
    objective.prepare(InMemorySource(data(), None, 200, seed=0))
    decayed, others = objective.configure_optimizers().param_groups
    assert decayed["params"] == [objective.model.weight]
    assert others["weight_decay"] == 0
    assert {id(each) for each in others["params"]} == {id(each) for each in objective.parameters()} - {
        id(objective.model.weight)
    }


def two_layers() -> tuple[VAE, Batch]:
    with seeded(4, "model"):
        return VAE(Event((4,), "binary"), [2, 2], [4, 4], depth=1), Batch(torch.rand(3, 4).round(), torch.arange(3))


def gradients(objective: Variational, batch: Batch, repetitions: int) -> Tensor:
    """The gradient again and again, [repetitions, parameters]."""
    rows = []
    for _ in range(repetitions):
        objective.zero_grad()
        objective.loss(batch)[0].backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in objective.parameters()]))  # type: ignore[union-attr]
    return torch.stack(rows)


def test_doubly_reparameterised_gradients_have_the_same_mean_and_less_noise_in_q() -> None:
    model, batch = two_layers()
    with seeded(1, "gradients"):
        plain, doubly = (gradients(IWAE(model, OPTIMIZATION, 8, double), batch, 400) for double in (False, True))
    error = ((plain.var(0) + doubly.var(0)) / 400).sqrt()
    assert ((plain.mean(0) - doubly.mean(0)).abs() <= 5 * error).all()
    of_q = torch.cat([torch.full((p.numel(),), "encoders" in name) for name, p in model.named_parameters()])
    assert doubly[:, of_q].var(0).sum() < 0.7 * plain[:, of_q].var(0).sum()


def test_doubly_reparameterised_loss_is_the_bound() -> None:
    model, batch = two_layers()
    for double in (False, True):
        loss, terms = IWAE(model, OPTIMIZATION, 8, double).loss(batch)
        torch.testing.assert_close(loss, terms["bound"])
        assert all(parameter.requires_grad for parameter in model.parameters())


def test_warm_up_and_free_bits_charge_what_they_say() -> None:
    model, batch = two_layers()
    objective = ELBO(model, OPTIMIZATION, k=3, warm_up=4, free_bits=0.1)
    assert [weight(objective, step) for step in (0, 1, 3, 10)] == [0.25, 0.5, 1.0, 1.0]
    weight(objective, 1)
    with seeded(5, "loss"):
        loss, terms = objective.loss(batch)
    with seeded(5, "loss"):
        from dgmrun.latent.draws import reparameterised

        trace = model.trace(batch.x, reparameterised(3))
    kl = torch.cat([each.mean((0, 1)) for each in divergences(trace)])
    torch.testing.assert_close(loss, 0.5 * kl.clamp(min=0.1).sum() - trace.log_px.mean())
    torch.testing.assert_close(terms["bound"], kl.sum() - trace.log_px.mean())
    torch.testing.assert_close(terms["kl_1"] + terms["kl_2"], kl.sum())


def weight(objective: ELBO, step: int) -> float:
    objective.iteration = step
    objective.on_train_batch_start(Batch(torch.empty(0), torch.empty(0)), 0)
    return float(objective.beta)


def test_a_local_posterior_has_a_row_for_each_example_and_none_in_the_model() -> None:
    with seeded(1, "local"):
        model = VAE(Event((4,), "binary"), [2, 3], [4, 4], depth=1, posterior="local")
        objective = ELBO(model, OPTIMIZATION)
        objective.prepare(InMemorySource(torch.rand(7, 4).round(), None, 4, seed=0))
        assert isinstance(objective.local, nn.Embedding)
        objective.loss(Batch(torch.ones(2, 4), torch.tensor([5, 1])))[0].backward()
    gradient = objective.local.weight.grad
    assert gradient is not None
    assert gradient.shape == (7, 10)
    assert [row for row in range(7) if gradient[row].any()] == [1, 5]
    assert not any("encoder" in name for name in model.state_dict())


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (partial(ELBO, k=0), "k"),
        (partial(ELBO, warm_up=-1), "warm_up"),
        (partial(ELBO, free_bits=-0.1), "free_bits"),
        (partial(IWAE, k=0), "k"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: partial[Variational], key: str) -> None:
    with pytest.raises(ValueError, match=f"`objective.{key}`"):
        make(two_layers()[0], OPTIMIZATION)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_posterior_that_is_the_prior_is_doubted(scale: float) -> None:
    objective = ELBO(VAE(Event((5,), "real"), latent=[2], hidden=[4], depth=1), OPTIMIZATION)
    assert objective.doubts() == []
    with torch.no_grad():
        for parameter in objective.model.encoders.parameters():
            parameter.mul_(scale)
    objective.loss(Batch(data(), torch.arange(200)))
    assert len(objective.doubts()) == (scale == 0)
