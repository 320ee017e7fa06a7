"""CD and PCD against the enumerated gradient of the likelihood."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dgmrun.data.source import InMemorySource
from dgmrun.models.rbm import RBM
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.contrastive.cd import CD
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.objectives.contrastive.pcd import PCD
from dgmrun.protocols.values import Batch, Event

STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)), dtype=torch.float64)
OPTIMIZATION = Optimization(partial(torch.optim.SGD, lr=0.0))


def rbm() -> RBM:
    torch.manual_seed(0)
    model = RBM(Event((5,), "binary"), hidden=3, weight_std=1.0).double()
    with torch.no_grad():
        model.visible_bias.normal_()
    return model


def gradient(model: RBM, loss: Tensor) -> Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


def nll_gradient(model: RBM, x: Tensor) -> Tensor:
    log_z = torch.logsumexp(model.log_unnormalised(STATES), 0)
    return gradient(model, log_z - model.log_unnormalised(x).mean())


def test_with_exact_samples_the_gradient_is_that_of_the_likelihood() -> None:
    """Every state as often as its probability says: the expectation of the surrogate's gradient, enumerated."""
    model, x = rbm(), STATES[[3, 17, 30]]
    probability = torch.softmax(model.log_unnormalised(STATES).detach(), 0)
    parts = [gradient(model, contrast(model, x, state[None])) for state in STATES]
    expected = probability @ torch.stack(parts)
    torch.testing.assert_close(expected, nll_gradient(model, x), rtol=0, atol=1e-10)


def statistics(objective: CD | PCD, x: Tensor, repetitions: int) -> tuple[Tensor, Tensor]:
    """Mean gradient and its standard error over batches."""
    batch = Batch(x.repeat(20, 1), torch.arange(20 * len(x)))
    draws = torch.stack([gradient(objective.model, objective.loss(batch)[0]) for _ in range(repetitions)])
    return draws.mean(0), draws.std(0) / repetitions**0.5


def test_the_bias_of_cd_vanishes_with_k() -> None:
    model, x = rbm(), STATES[[3, 17, 30]]
    truth = nll_gradient(model, x)
    short, _ = statistics(CD(model, OPTIMIZATION, k=1), x, 300)
    long, error = statistics(CD(model, OPTIMIZATION, k=100), x, 300)
    assert ((long - truth).abs() < 4.5 * error + 1e-3).all()
    assert (short - truth).norm() > 5 * (long - truth).norm()


def test_chains_of_pcd_persist_and_reach_the_model() -> None:
    """With fixed parameters, the mean over a long run is the gradient of the likelihood (batch means for the error)."""
    model, x = rbm(), STATES[[3, 17, 30]]
    objective = PCD(model, OPTIMIZATION, k=5, num_chains=200)
    objective.prepare(InMemorySource(x, None, batch_size=200, seed=0))
    statistics(objective, x, 50)
    before = objective.chains.clone()
    means = torch.stack([statistics(objective, x, 40)[0] for _ in range(20)])
    error = means.std(0) / 20**0.5
    assert ((means.mean(0) - nll_gradient(model, x)).abs() < 5.5 * error + 1e-3).all()
    assert objective.rank_state["chains"].dtype == torch.bool
    assert not torch.equal(before, objective.chains)


def test_a_step_of_pcd_costs_five_products() -> None:
    """Of a batch with the weights: h -> v, h given the data and given v, and the gradients of both."""
    model, x = rbm(), STATES[:10]
    objective = PCD(model, OPTIMIZATION)
    objective.prepare(InMemorySource(x, None, batch_size=10, seed=0))
    with FlopCounterMode(display=False) as counter:
        gradient(model, objective.loss(Batch(x, torch.arange(10)))[0])
    products = counter.get_total_flops() / (2 * 10 * model.weight.numel())
    assert 5 <= products < 6


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_the_gradient_of_a_step_of_pcd_is_the_difference_of_two_statistics(
    dtype: torch.dtype, tolerance: float
) -> None:
    """Means of v p(h | v)', v and p(h | v) over the chains less those over the data, for RBMs of 784 pixels, too."""
    torch.manual_seed(0)
    model = RBM(Event((784,), "binary"), hidden=50, weight_std=0.1).to(dtype)
    objective, x = PCD(model, OPTIMIZATION), torch.rand(20, 784).round().to(dtype)
    objective.prepare(InMemorySource(x, None, batch_size=20, seed=0))
    found = torch.autograd.grad(objective.loss(Batch(x, torch.arange(20)))[0], list(model.parameters()))

    def statistics(v: Tensor) -> tuple[Tensor, ...]:
        p = torch.sigmoid(v @ model.weight + model.hidden_bias).detach()
        return v.t() @ p / len(v), v.mean(0), p.mean(0)

    for ours, of_model, of_data in zip(found, statistics(objective.chains), statistics(x), strict=True):
        torch.testing.assert_close(ours, of_model - of_data, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("make", "key"), [(partial(CD, k=0), "k"), (partial(PCD, num_chains=0), "num_chains")])
def test_refuses(make: type, key: str) -> None:
    with pytest.raises(ValueError, match=f"objective.{key}"):
        make(rbm(), OPTIMIZATION)
