"""Deep NADE: the mean over orders, what conditionals look at, samples; single orders are in test_autoregressive.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.models.deep_nade import DeepNADE
from dgmrun.nn.binary import bits
from dgmrun.protocols.values import Event

CLASSES = Event((), "categorical", 3)


def made(dims: int = 4, **settings: Any) -> DeepNADE:
    """A small one in float64 with weights that matter."""
    model = DeepNADE(Event((dims,), "binary"), **{"hidden": [5, 4], "activation": "tanh", **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def states(dims: int = 4) -> Tensor:
    return bits(torch.arange(2**dims), dims).double()


def in_order(model: DeepNADE, x: Tensor, order: Sequence[int]) -> Tensor:
    """log p_o(x) by the definition: a pass through the network for each dimension, which is shown those before it."""
    log_p, seen = x.new_zeros(len(x)), torch.zeros_like(x)
    for d in order:
        log_p = log_p + model.log_conditionals(x, seen)[:, d]
        seen = seen.clone()
        seen[:, d] = 1
    return log_p


@pytest.mark.parametrize("hidden", [[5], [5, 4], [5, 4, 3]], ids=str)
@pytest.mark.parametrize("orders", [1, 3, 30])
def test_the_mean_over_orders_sums_to_one_and_is_that_of_its_conditionals(orders: int, hidden: list[int]) -> None:
    model, x = made(hidden=hidden, orders=orders, order=[2, 0, 3, 1]), states()
    each = torch.stack([in_order(model, x, order) for order in model.orders.tolist()])
    assert model.num_orders() == len(each) == orders
    assert model.orders[0].tolist() == [2, 0, 3, 1]
    torch.testing.assert_close(model.log_prob(x), each.exp().mean(0).log())
    torch.testing.assert_close(each.logsumexp(1), torch.zeros(orders, dtype=torch.float64))
    assert model.log_prob(x).logsumexp(0).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_conditionals_look_back_only_in_every_order(order: Sequence[int]) -> None:
    """In that order the Jacobian of the log-odds is triangular, and nothing below its diagonal is 0."""
    model, x = made(order=order, orders=2), torch.rand(4, dtype=torch.float64)
    for number, places in enumerate(model.orders):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, number=number: model.conditionals(x[None], None, number).mean[0].logit(), x
        )
        ordered = jacobian[places][:, places]
        assert (ordered.triu() == 0).all()
        assert ordered.tril(-1).count_nonzero() == 6


def test_conditionals_depend_on_what_is_seen_alone() -> None:
    """Whatever the values of the rest, also of the dimension itself but for the choice between p and 1 - p."""
    model, x = made(), states()
    for seen in states():
        log_p = model.log_conditionals(x, seen.expand(16, -1))
        p_one = torch.where(x > 0, log_p.exp(), 1 - log_p.exp())
        alike = ((x * seen)[:, None] == x * seen).all(2)
        spread = (p_one[:, None] - p_one).abs().amax(2)
        assert (spread[alike] < 1e-12).all()
        assert not seen.any() or (spread[~alike] > 1e-6).all()


def test_a_dimension_that_is_not_seen_is_told_from_one_that_is_0() -> None:
    model, x = made(), torch.zeros(1, 4, dtype=torch.float64)
    assert (model.log_conditionals(x, x) != model.log_conditionals(x, x + 1)).all()


def drawn_from(p: Tensor, counts: Tensor) -> bool:
    """By Bernstein's inequality, which holds for rare values too: each count is beyond with less than 3e-7."""
    num, t = counts.sum(), 16
    return bool(((counts - num * p).abs() < (2 * t * num * p * (1 - p)).sqrt() + t / 3).all())


@pytest.mark.parametrize("orders", [1, 3])
def test_samples_follow_the_probabilities(orders: int) -> None:
    """Of a mean over orders each sample is drawn in one of them."""
    model = made(orders=orders)
    x = model.sample(20_000)
    found = (x[:, None] == states()).all(2).sum(0)
    assert drawn_from(model.log_prob(states()).exp().detach(), found)


def test_the_means_of_exact_samples_average_to_the_marginals() -> None:
    model, x = made(orders=3), states()
    p = model.log_prob(x).exp().detach()
    assert torch.allclose(p @ model.means(x), p @ x)


def test_given_a_class_it_is_normalised_and_sampled_for_each() -> None:
    model, y = made(3, context=CLASSES, orders=2), torch.arange(3).repeat(4000)
    log_p = torch.stack([model.log_prob(states(3), torch.full((8,), each)) for each in range(3)]).detach()
    assert torch.allclose(log_p.logsumexp(1), torch.zeros(3, dtype=torch.float64), atol=1e-10)
    assert len(log_p.unique(dim=0)) == 3
    x, seen = states(3), torch.zeros(8, 3, dtype=torch.float64)
    first = model.log_conditionals(x, seen, torch.full((8,), 2))[:, model.orders[0, 0]]
    assert torch.allclose(first, model.conditionals(x, torch.full((8,), 2), 0).log_prob(x)[:, model.orders[0, 0]])
    found = (model.sample(len(y), y)[:, None] == states(3)).all(2)
    assert all(drawn_from(log_p[each].exp(), found[y == each].sum(0)) for each in range(3))


def test_gradients_pass_gradcheck_also_those_of_scores() -> None:
    model = made(3, hidden=[3], orders=2, context=CLASSES)
    x, y = torch.rand(2, 3, dtype=torch.float64, requires_grad=True), torch.arange(2)

    def score(x: Tensor, *_: Tensor) -> Tensor:
        return torch.autograd.grad(model.log_prob(x, y).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(lambda *_: model.log_prob(x, y), tuple(model.parameters()))
    assert torch.autograd.gradcheck(score, (x, *model.parameters()))


def test_more_orders_begin_with_the_same_ones_whatever_the_seed() -> None:
    few = made(12, order=7, orders=3)
    torch.manual_seed(1)
    many = made(12, order=7, orders=6)
    assert torch.equal(few.orders, many.orders[:3])
    assert len(many.orders.unique(dim=0)) == 6


def test_it_starts_with_the_marginals_of_the_data() -> None:
    model, x = made(hidden=[3]), (torch.rand(50, 4) < 0.3).double()
    model.initialise(x)
    torch.nn.init.zeros_(model.output.weight)
    p = torch.where(x > 0, (x.sum(0) + 0.5) / 51, 1 - (x.sum(0) + 0.5) / 51)
    assert torch.allclose(model.log_prob(x), p.log().sum(1), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": []}, "`model.hidden`"),
        ({"hidden": 5}, "`model.hidden`"),
        ({"orders": 0}, "`model.orders`"),
        ({"activation": "sine"}, "`model.activation`"),
        ({"order": [0, 0, 1, 2]}, "`model.order`"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DeepNADE(Event((4,), "binary"), **settings)
