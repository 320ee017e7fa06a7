"""Orderless maximum likelihood against the enumeration of all orders and splits, and its splits against their law."""

from __future__ import annotations

import itertools
import math
from functools import partial

import torch
from torch import Tensor

from dgmrun.models.deep_nade import DeepNADE
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.mle_orderless import MLEOrderless, orderless, splits
from dgmrun.protocols.values import Batch, Event

STATES = bits(torch.arange(16), 4).double()
ORDERS = list(itertools.permutations(range(4)))


def made(dims: int = 4) -> DeepNADE:
    """A small one in float64 with weights that matter."""
    model = DeepNADE(Event((dims,), "binary"), hidden=[5, 4], activation="tanh").double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def gradient(model: DeepNADE, loss: Tensor) -> Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


def test_over_all_orders_and_splits_its_mean_is_that_of_log_p_over_orders() -> None:
    """And that of its gradients, each to rounding, for every x."""
    model = made()
    found = torch.zeros(16, dtype=torch.float64)
    for order, k in itertools.product(ORDERS, range(4)):
        seen = torch.zeros(16, 4, dtype=torch.float64)
        seen[:, list(order[:k])] = 1
        found = found + orderless(model.log_conditionals(STATES, seen), seen) / (len(ORDERS) * 4)
    truth = torch.zeros(16, dtype=torch.float64)
    for order in ORDERS:
        model.orders[0] = torch.tensor(order)
        truth = truth + model.log_prob(STATES) / len(ORDERS)
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    weight = torch.randn(16, dtype=torch.float64)
    torch.testing.assert_close(gradient(model, found @ weight), gradient(model, truth @ weight), rtol=0, atol=1e-12)


def test_splits_have_a_uniform_size_and_are_uniform_given_it() -> None:
    """By Bernstein's inequality each count is beyond with less than 3e-7."""
    num, t = 20_000, 16
    drawn = splits(torch.empty(num, 4))
    assert drawn.sum(1).max() == 3, "something is left to be told"
    for seen in STATES[:-1]:
        p = 1 / 4 / math.comb(4, int(seen.sum()))
        count = int((drawn == seen).all(1).sum())
        assert abs(count - num * p) < math.sqrt(2 * t * num * p * (1 - p)) + t / 3


def test_the_loss_is_that_of_its_splits_and_trains_every_parameter() -> None:
    """Of pictures, whose dimensions are flat to it; every parameter gets a gradient."""
    model, x = DeepNADE(Event((1, 2, 2), "binary"), hidden=[5]), STATES.float().reshape(-1, 1, 2, 2)
    objective = MLEOrderless(model, Optimization(partial(torch.optim.SGD, lr=0.0)))
    torch.manual_seed(1)
    loss, _ = objective.loss(Batch(x, torch.arange(16)))
    torch.manual_seed(1)
    seen = splits(x.flatten(1))
    assert torch.equal(loss, -orderless(model.log_conditionals(x, seen), seen).mean())
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(loss, list(model.parameters())))
