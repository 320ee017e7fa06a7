"""The chain bound of a DAE and of an RBM against enumeration, and the gradients of what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from dgmrun.data.source import InMemorySource
from dgmrun.latent.chain import chain_bound
from dgmrun.models import DAE, RBM, Ising
from dgmrun.nn.binary import bernoulli, bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.contrastive.cd import CD
from dgmrun.objectives.contrastive.cd_policy import CDPolicy
from dgmrun.objectives.contrastive.half_step import half_step
from dgmrun.objectives.denoising import Denoising
from dgmrun.protocols.values import Batch, Event

OPTIMIZATION = Optimization(partial(torch.optim.SGD, lr=0.0))
X = bits(torch.arange(16), 4).double()[[1, 2, 7, 12, 12]]
H = bits(torch.arange(8), 3).double()
BATCH = Batch(X, torch.arange(len(X)))


def rbm() -> RBM:
    model = RBM(Event((4,), "binary"), hidden=3, weight_std=1.0).double()
    for bias in (model.visible_bias, model.hidden_bias):
        nn.init.normal_(bias)
    return model


def of_rbm(model: RBM) -> tuple[Tensor, Tensor]:
    """log q(h | x) and log p(x | h) of every h, and of the examples, [8, 5]."""
    to_h, to_x = model.hidden_logits(X), model.visible_logits(H)
    log_q = (logsigmoid(to_h) * H[:, None] + logsigmoid(-to_h) * (1 - H[:, None])).sum(-1)
    log_px = (logsigmoid(to_x)[:, None] * X + logsigmoid(-to_x)[:, None] * (1 - X)).sum(-1)
    return log_q, log_px


def dae() -> DAE:
    return DAE(Event((4,), "binary"), level=0.3, hidden=3).double()


def of_dae(model: DAE) -> tuple[Tensor, Tensor]:
    """log C(x~ | x) and log p(x | x~) of every x~, and of the examples, [16, 5]."""
    every = bits(torch.arange(16), 4).double()
    log_q, law = model.log_corruption(every, X), model.reconstruction(every)
    assert log_q is not None
    return log_q, torch.stack([law.log_prob(x).sum(-1) for x in X], 1)


def enumerated(log_q: Tensor, log_px: Tensor) -> Tensor:
    """The bound of each example: the expectation of its terms over every z, each of them every example's in turn."""
    pairs = log_q.unsqueeze(1).expand(-1, log_q.shape[1], -1)
    return (log_q.exp() * chain_bound(pairs, log_px)).sum(0)


def log_prior(log_q: Tensor) -> Tensor:
    """log of the mean of q(z | x_j) over the other examples, by its definition, [z, 5]."""
    q, num = log_q.exp(), log_q.shape[1]
    return torch.stack([q[:, [j for j in range(num) if j != i]].mean(1) for i in range(num)], 1).log()


@pytest.mark.parametrize(("model", "tables"), [(rbm, of_rbm), (dae, of_dae)])
def test_it_exceeds_the_nll_of_the_directed_chain_by_the_divergence_from_its_posterior(
    model: Callable[[], Any], tables: Callable[[Any], tuple[Tensor, Tensor]]
) -> None:
    log_q, log_px = tables(model())
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(5, dtype=torch.float64))
    log_joint = log_prior(log_q) + log_px
    divergence = (log_q.exp() * (log_q - log_joint.log_softmax(0))).sum(0)
    torch.testing.assert_close(enumerated(log_q, log_px) + log_joint.logsumexp(0), divergence, rtol=0, atol=1e-9)
    assert (divergence >= 0).all()


def test_an_rbm_is_worse_than_the_chain_of_its_data_by_how_far_its_hidden_law_is_from_theirs() -> None:
    """With a prior of all examples the bound is below the exact nll by KL(mean of q(h | x) || p(h)), trained or not.

    With a prior that leaves out the example itself it need not be, and here, with five examples, is not.
    """
    model, states = rbm(), bits(torch.arange(16), 4).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(100):
        log_z = model.log_unnormalised(states).logsumexp(0)
        nll = log_z - model.log_unnormalised(X).mean()
        (log_q, log_px), log_ph = of_rbm(model), -free(model) - log_z
        log_prior = log_q.exp().mean(1).log()
        bound = (log_q.exp() * (log_q - log_prior.unsqueeze(1) - log_px)).sum(0).mean()
        torch.testing.assert_close(nll - bound, (log_prior.exp() * (log_prior - log_ph)).sum(), rtol=0, atol=1e-9)
        assert bound < nll < enumerated(log_q, log_px).mean()
        optimizer.zero_grad()
        nll.backward()
        optimizer.step()


def test_the_two_ways_of_a_half_step_differ_by_free_energies() -> None:
    model = rbm()
    log_q, log_px = of_rbm(model)
    torch.testing.assert_close(log_q - log_px, -model.log_unnormalised(X) - free(model)[:, None], rtol=0, atol=1e-12)


def free(model: RBM) -> Tensor:
    """Free energy of every h, [8]."""
    return -(H @ model.hidden_bias) - softplus(model.visible_logits(H)).sum(-1)


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("k", [1, 3])
def test_the_gradient_of_free_energies_is_the_statistic_of_cd_up_to_half_a_step(k: int) -> None:
    """F_v(x_0) - F_h(h_k) at fixed samples: what moves together in the data, minus what does in the last half-step."""
    model = rbm()
    x = model.walk(X, k - 1)
    h = bernoulli(torch.sigmoid(model.hidden_logits(x))).detach()
    of_h = h @ model.hidden_bias + softplus(model.visible_logits(h)).sum(-1)
    found = torch.autograd.grad((of_h - model.log_unnormalised(X)).mean(), list(model.parameters()))
    p_h, p_x = torch.sigmoid(model.hidden_logits(X)), torch.sigmoid(model.visible_logits(h))
    statistic = ((p_x.t() @ h - X.t() @ p_h) / 5, (p_x - X).mean(0), (h - p_h).mean(0))
    torch.testing.assert_close(found, statistic, rtol=0, atol=1e-12)


def test_cd_walks_as_it_does_unasked_and_logs_the_bound_of_its_first_half_step() -> None:
    model = rbm()
    torch.manual_seed(1)
    loss, terms = CD(model, OPTIMIZATION, k=2, chain_bound=True).loss(BATCH)
    torch.manual_seed(1)
    assert torch.equal(loss, CD(model, OPTIMIZATION, k=2).loss(BATCH)[0])
    torch.manual_seed(1)
    torch.testing.assert_close(terms["chain_bound"], half_step(model, X).bound.mean())
    bound = half_step(model, X, 20_000).bound
    error = bound.std(0) / 20_000**0.5
    assert ((bound.mean(0) - enumerated(*of_rbm(model))).abs() < 4.5 * error).all()


def test_the_gradient_of_cd_policy_is_unbiased() -> None:
    """Mean over 100 batches of 200 samples; 5 standard errors, false alarms below 1e-4 of all 19."""
    model = rbm()
    truth = gradient(model, enumerated(*of_rbm(model)).mean())
    objective = CDPolicy(model, OPTIMIZATION, num_samples=200)
    draws = torch.stack([gradient(model, objective.loss(BATCH)[0]) for _ in range(100)])
    assert ((draws.mean(0) - truth).abs() < 5 * draws.std(0) / 10).all()
    pairs = CDPolicy(model, OPTIMIZATION)
    assert (gradient(model, pairs.loss(BATCH.rows(slice(1)))[0]).isfinite()).all(), "the last of an epoch"


def test_the_gradient_of_the_joint_divergence_of_a_dae_is_that_of_its_reconstructions() -> None:
    model = dae()
    log_q, log_px = of_dae(model)
    reconstruction = -(log_q.exp() * log_px).sum(0).mean()
    torch.testing.assert_close(
        gradient(model, enumerated(log_q, log_px).mean()), gradient(model, reconstruction), rtol=0, atol=1e-12
    )


def test_denoising_logs_the_bound_of_its_first_step() -> None:
    model = dae()
    terms = torch.stack([Denoising(model, OPTIMIZATION, 2).loss(BATCH)[1]["chain_bound"] for _ in range(300)])
    error = terms.std() / 300**0.5
    assert abs(terms.mean() - enumerated(*of_dae(model)).mean()) < 4.5 * error


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"`objective\.chain_bound` must be false for a model without a hidden layer"):
        CD(Ising(Event((4,), "binary")), OPTIMIZATION, chain_bound=True)
    with pytest.raises(ValueError, match=r"`objective\.num_samples` must be at least 2, but is 1"):
        CDPolicy(rbm(), OPTIMIZATION, num_samples=1)
    with pytest.raises(ValueError, match=r"`dataset\.batch_size` must be at least 2 for each process, but is 1"):
        CDPolicy(rbm(), OPTIMIZATION).begin(InMemorySource(X, None, batch_size=1, seed=0))
