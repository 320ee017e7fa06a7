"""Logistic autoregression against its definition; what a conditional owns, and what all share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmrun.models.fvsbn import FVSBN
from dgmrun.nn.binary import bits, marginal_logits
from dgmrun.protocols.values import Batch, Event

CLASSES = Event((), "categorical", 3)


def made(dims: int, order: int | None = None, shared: bool = False, context: Event | None = None) -> FVSBN:
    """In float64, with weights that matter."""
    fvsbn = FVSBN(Event((dims,), "binary"), order, shared, context).double()
    for parameter in fvsbn.parameters():
        torch.nn.init.normal_(parameter)
    return fvsbn


def states(dims: int) -> Tensor:
    return bits(torch.arange(2**dims), dims).double()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("order", [None, 3])
def test_log_prob_is_that_of_the_definition(order: int | None, shared: bool) -> None:
    fvsbn, x = made(6, order, shared), states(6)
    log_p, ordered = torch.zeros(64, dtype=torch.float64), x[:, fvsbn.order]
    for d in range(6):
        logit = fvsbn.bias[0 if shared else d].expand(64)
        for j in range(d):
            logit = logit + (fvsbn.weight[d - j] if shared else fvsbn.weight[d, j]) * ordered[:, j]
        log_p = log_p + torch.where(ordered[:, d] > 0, logit, -logit).sigmoid().log()
    assert torch.allclose(fvsbn.log_prob(x), log_p)
    assert log_p.logsumexp(0).item() == pytest.approx(0, abs=1e-10)


def test_the_gradient_of_a_conditional_touches_its_own_parameters_alone() -> None:
    fvsbn, x = made(8), (torch.rand(20, 8) < 0.5).double()
    for d in range(8):
        term = fvsbn.chain(20).log_prob(x)[:, d].sum()
        of_weight, of_bias = torch.autograd.grad(term, [fvsbn.weight, fvsbn.bias])
        assert torch.equal(of_weight.abs().sum(1) > 0, torch.arange(8) == (d if d else -1))  # the first has no weights
        assert torch.equal(of_weight[d] != 0, torch.arange(8) < d)
        assert torch.equal(of_bias != 0, torch.arange(8) == d)


def test_shared_parameters_are_of_every_conditional() -> None:
    fvsbn, x = made(8, shared=True), (torch.rand(20, 8) < 0.5).double()
    for d in range(8):
        term = fvsbn.chain(20).log_prob(x)[:, d].sum()
        of_weight, of_bias = torch.autograd.grad(term, [fvsbn.weight, fvsbn.bias])
        assert torch.equal(of_weight != 0, (torch.arange(8) > 0) & (torch.arange(8) <= d))
        assert of_bias.abs() > 0


def test_a_conditional_trained_alone_is_where_all_are_when_trained_together() -> None:
    """The likelihood is a sum of terms without common parameters."""
    x = (torch.rand(200, 3) < torch.tensor([0.3, 0.5, 0.8])).double()

    def trained(of: slice) -> FVSBN:
        fvsbn = FVSBN(Event((3,), "binary")).double()
        optimizer = torch.optim.LBFGS(fvsbn.parameters(), max_iter=200, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = -fvsbn.chain(200).log_prob(x)[:, of].sum(1).mean()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return fvsbn

    alone, together = trained(slice(2, 3)), trained(slice(None))
    assert torch.allclose(alone.weight[2], together.weight[2], atol=1e-3)
    assert not alone.weight[:2].any()


@pytest.mark.parametrize("shared", [False, True])
def test_it_starts_with_the_marginals(shared: bool) -> None:
    x = (torch.rand(50, 1, 2, 3) < 0.2).float()
    fvsbn = FVSBN(Event((1, 2, 3), "binary"), order=1, shared=shared)
    fvsbn.initialise(x)
    logits = marginal_logits(x.reshape(-1, 1)).expand(6) if shared else marginal_logits(x)
    assert torch.allclose(fvsbn.means(x)[0].flatten(), torch.sigmoid(logits))
    assert not fvsbn.pictures(Batch(x, torch.arange(50)))["weights"].any()


@pytest.mark.parametrize("shared", [False, True])
def test_samples_given_a_class_follow_the_probabilities(shared: bool) -> None:
    fvsbn, num = made(3, order=2, shared=shared, context=CLASSES), 10_000
    y = torch.arange(3).repeat(num)
    number = (fvsbn.sample(len(y), y) @ torch.tensor([1.0, 2, 4], dtype=torch.float64)).long()
    for each in range(3):
        p = fvsbn.log_prob(states(3), torch.full((8,), each)).exp().detach()
        counts = torch.bincount(number[y == each], minlength=8)
        assert ((counts - num * p).abs() < 5 * (num * p * (1 - p)).sqrt()).all()
