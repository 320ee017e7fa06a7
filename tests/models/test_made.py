"""MADE: kinds of outputs, several masks, contexts, and gradients; its orders are in test_autoregressive.py."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.models.made import MADE
from dgmrun.models.nade import permutation
from dgmrun.nn.binary import bits
from dgmrun.protocols.values import Event

CLASSES = Event((), "categorical", 3)
BINARY = Event((4,), "binary")


def made(event: Event, **settings: Any) -> MADE:
    """A small one in float64, with weights that matter."""
    model = MADE(event, **{"hidden": [5, 4], "activation": "tanh", **settings}).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def every(event: Event) -> Tensor:
    """All values of an event."""
    if event.kind == "binary":
        return bits(torch.arange(2**event.dims), event.dims).double()
    return torch.cartesian_prod(*[torch.arange(event.size or 0)] * event.dims).reshape(-1, event.dims)


def assert_drawn_from(p: Tensor, counts: Tensor) -> None:
    """By Bernstein's inequality, which holds for rare values too: each count is beyond with less than 3e-7."""
    num, t = counts.sum(), 16
    assert ((counts - num * p).abs() < (2 * t * num * p * (1 - p)).sqrt() + t / 3).all()


FINITE = [BINARY, Event((3,), "levels", 4), Event((3,), "categorical", 3), Event((1,), "categorical", 5)]


@pytest.mark.parametrize("masks", [1, 3])
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("event", FINITE, ids=str)
def test_finite_ones_sum_to_one(event: Event, direct: bool, masks: int) -> None:
    model = made(event, order=1, direct=direct, masks=masks)
    assert model.log_prob(every(event)).logsumexp(0).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("masks", [1, 3])
def test_a_gaussian_one_integrates_to_one_and_looks_back_only(masks: int) -> None:
    """By importance sampling from a wide Gaussian, within 5 of its standard errors."""
    model, num = made(Event((2,), "real"), masks=masks), 20_000
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
        wide = torch.distributions.Normal(torch.zeros(2), torch.full((2,), 4.0))
        x = wide.sample((num,)).double()
        weight = (model.log_prob(x) - wide.log_prob(x).sum(1)).exp()
    assert float(weight.mean()) == pytest.approx(1, abs=5 * float(weight.std()) / math.sqrt(num))


def test_the_jacobian_of_gaussian_conditionals_is_triangular_in_the_order() -> None:
    model = made(Event((6,), "real"), order=2)
    x, order = torch.randn(6, dtype=torch.float64), model.orders[0]
    for part in ("mean", "stddev"):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, part=part: getattr(model.conditionals(x[None], None, model.masked(0)), part)[0], x
        )
        in_order = jacobian[order][:, order]
        assert (in_order.triu() == 0).all()
        assert (in_order.tril(-1).count_nonzero()) == 15


@pytest.mark.parametrize("masks", [1, 3])
@pytest.mark.parametrize("event", FINITE, ids=str)
def test_samples_follow_the_probabilities(event: Event, masks: int) -> None:
    model, values = made(event, order=2, masks=masks), every(event)
    x = model.sample(20_000)
    assert x.dtype == values.dtype
    found = (x[:, None] == values).all(2).sum(0)
    assert_drawn_from(model.log_prob(values).exp().detach(), found)


def test_gaussian_samples_have_their_density() -> None:
    """What is left of each dimension, in units of its scale, is standard normal."""
    model, num = made(Event((3,), "real"), order=[2, 0, 1]), 20_000
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    conditionals = model.conditionals(x := model.sample(num), None, model.masked(0))
    z = (x - conditionals.mean) / conditionals.stddev
    assert (z.mean(0).abs() < 5 / math.sqrt(num)).all()
    assert ((z.square().mean(0) - 1).abs() < 5 * math.sqrt(2 / num)).all()


@pytest.mark.parametrize("event", [BINARY, Event((4,), "real")], ids=str)
def test_gradients_pass_gradcheck_also_those_of_scores(event: Event) -> None:
    model = made(event, hidden=[3], masks=2, context=CLASSES)
    x, y = torch.rand(3, 4, dtype=torch.float64, requires_grad=True), torch.arange(3)

    def score(x: Tensor, *_: Tensor) -> Tensor:
        return torch.autograd.grad(model.log_prob(x, y).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(lambda *_: model.log_prob(x, y), tuple(model.parameters()))
    assert torch.autograd.gradcheck(score, (x, *model.parameters()))


def test_it_starts_with_the_marginals_of_the_data() -> None:
    for event in (BINARY, Event((4,), "real"), Event((4,), "levels", 3)):
        x = torch.randint(2, (50, 4)).to(event.dtype)
        model = MADE(event, hidden=[3])
        model.initialise(x)
        torch.nn.init.zeros_(model.network.output.weight)
        one = model.conditionals(x, None, model.masked(0))
        if event.kind == "levels":
            assert torch.allclose(one.log_prob(torch.ones_like(x))[0].exp(), (x.sum(0) + 0.5) / 51.5)
        else:
            assert torch.allclose(model.standardise.inverse(one.mean)[0], x.mean(0), atol=0.02)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("event", [BINARY, Event((), "categorical", 4)], ids=str)
def test_given_a_class_every_dimension_knows_it(event: Event, direct: bool) -> None:
    """The first one too, and the only one of a classifier: hidden units that see nothing else see it."""
    model, values = made(event, hidden=[40], direct=direct, context=CLASSES), every(event)
    shape = (-1, *event.shape)
    log_p = torch.stack([model.log_prob(values.reshape(shape), torch.full((len(values),), y)) for y in range(3)])
    assert torch.allclose(log_p.logsumexp(1), torch.zeros(3, dtype=torch.float64), atol=1e-10)
    first = (
        torch.stack([model.means(values, torch.full((16,), y))[0, 0] for y in range(3)]) if event.dims > 1 else log_p
    )
    assert len(first.unique(dim=0)) == 3
    y = torch.arange(3).repeat(3000)
    x = model.sample(len(y), y)
    assert x.shape == (9000, *event.shape)
    found = (x.reshape(9000, 1, -1) == values).all(2)
    for each in range(3):
        assert_drawn_from(log_p[each].exp().detach(), found[y == each].sum(0))


def test_masks_differ_and_their_mean_is_the_density() -> None:
    model, x = made(BINARY, masks=3), every(BINARY)
    each = torch.stack([model.conditionals(x, None, model.masked(mask)).log_prob(x).sum(1) for mask in range(3)])
    assert len(model.orders.unique(dim=0)) > 1
    assert torch.equal(model.orders[0], torch.arange(4))
    assert torch.allclose(model.log_prob(x), each.exp().mean(0).log())
    assert torch.allclose(each.logsumexp(1), torch.zeros(3, dtype=torch.float64), atol=1e-10)


def test_in_training_each_mask_has_its_turn_and_samples_are_scored_by_the_mask_that_drew_them() -> None:
    model, x = made(BINARY, masks=3).train(), every(BINARY)
    each = [model.conditionals(x, None, model.masked(mask)).log_prob(x).sum(1) for mask in range(3)]

    def scored_by() -> int:
        log_p = model.log_prob(x)
        return next(mask for mask in range(3) if torch.allclose(log_p, each[mask]))

    assert {scored_by() for _ in range(60)} == {0, 1, 2}
    for _ in range(20):
        model.sample(2)
        drawn_by = model.drawn_by
        assert scored_by() == drawn_by
    assert model.drawn_by is None


def test_the_same_settings_have_the_same_masks_whatever_the_seed() -> None:
    torch.manual_seed(1)
    one = MADE(BINARY, masks=4)
    torch.manual_seed(2)
    other = MADE(BINARY, masks=4)
    assert torch.equal(one.orders, other.orders)
    assert torch.equal(one.connectivity, other.connectivity)


def test_masks_and_orders_are_those_that_kept_weights_were_made_with() -> None:
    """They are drawn anew and not kept: of another random stream of torch, old weights would be another density."""
    made = MADE(Event((6,), "binary"), [4], masks=2)
    assert made.orders.tolist() == [[0, 1, 2, 3, 4, 5], [3, 1, 4, 2, 5, 0]]
    assert made.connectivity.tolist() == [[2, 2, 1, 2], [3, 5, 1, 5]]
    assert permutation(3, 6).tolist() == [5, 0, 1, 3, 2, 4]


def test_the_means_of_exact_samples_average_to_the_marginals() -> None:
    model, x = made(BINARY, masks=3), every(BINARY)
    p = model.log_prob(x).exp().detach()
    assert torch.allclose(p @ model.means(x), p @ x)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": []}, "`model.hidden`"),
        ({"hidden": 5}, "`model.hidden`"),
        ({"hidden": [5, 0]}, "`model.hidden`"),
        ({"masks": 0}, "`model.masks`"),
        ({"activation": "sine"}, "`model.activation`"),
        ({"order": [0, 0, 1, 2]}, "`model.order`"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MADE(BINARY, **settings)
