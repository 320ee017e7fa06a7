"""NADE against its definition, dimension by dimension, and against enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from dgmrun.models.nade import NADE
from dgmrun.nn import autoregression as module
from dgmrun.nn.autoregression import Recomputed, activations, blocks, changing, products
from dgmrun.nn.binary import bits
from dgmrun.protocols.values import Event


def made(dims: int, hidden: int = 3, order: int | Sequence[int] | None = None) -> NADE:
    """A NADE in float64 with weights that matter."""
    nade = NADE(Event((dims,), "binary"), hidden, order).double()
    for parameter in nade.parameters():
        torch.nn.init.normal_(parameter)
    return nade


def states(dims: int) -> Tensor:
    return bits(torch.arange(2**dims), dims).double()


def by_definition(nade: NADE, x: Tensor) -> Tensor:
    """log p(x) by the loop over dimensions, equations 6 and 7."""
    log_p, a = x.new_zeros(len(x)), nade.hidden_bias
    for d, dim in enumerate(nade.order.tolist()):
        p = torch.sigmoid(nade.visible_bias[d] + torch.sigmoid(a) @ nade.output_weight[d])
        log_p = log_p + torch.where(x[:, dim] > 0.5, p, 1 - p).log()
        a = a + x[:, dim, None] * nade.weight[d]
    return log_p


def log_odds(nade: NADE, x: Tensor) -> Tensor:
    """Of each dimension of one example given those before it, in the order of the model."""
    before = products(x[None, nade.order], nade.weight, nade.output_weight, nade.hidden_bias)
    return before[0] + nade.visible_bias


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_every_order_of_four_sums_to_one(order: Sequence[int]) -> None:
    assert made(4, order=order).log_prob(states(4)).logsumexp(0).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("seed", range(50))
def test_random_orders_of_twelve_sum_to_one_and_look_back_only(seed: int) -> None:
    nade = made(12, order=seed)
    assert nade.log_prob(states(12)).logsumexp(0).item() == pytest.approx(0, abs=1e-10)
    x = torch.rand(12, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: log_odds(nade, x), x)
    in_order = jacobian[:, nade.order]
    assert (in_order.triu() == 0).all()
    assert (in_order.tril(-1)[torch.ones(12, 12).tril(-1).bool()] != 0).all()


@pytest.mark.parametrize(("cached", "step"), [(1, 10**6), (40, 10**6), (10**6, 10**6), (1, 1)])
@pytest.mark.parametrize("order", [None, 3])
def test_log_prob_and_its_gradients_are_those_of_the_definition(
    cached: int, step: int, order: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STEP", step)
    nade, x = made(30, 4, order), (torch.rand(9, 30) < torch.rand(30)).double()
    assert {change is None for change in changing(x.t())} == {True, False}
    fast, slow = nade.log_prob(x), by_definition(nade, x)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)
    weight = torch.randn(9, dtype=torch.float64)
    parameters = list(nade.parameters())
    for one, other in zip(
        torch.autograd.grad(fast @ weight, parameters), torch.autograd.grad(slow @ weight, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("step", [1, 10**6])
def test_the_kernel_passes_gradcheck(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", step)
    nade, x = made(23, 3), torch.rand(4, 23).round().double()
    parameters = (nade.weight, nade.output_weight, nade.hidden_bias)
    assert len(list(blocks(x, nade.weight))) > 5
    assert torch.autograd.gradcheck(lambda *given: Recomputed.apply(x, *given)[0], parameters)


def test_derivatives_in_x_and_of_them_pass_gradcheck() -> None:
    nade, x = made(11, 2), torch.rand(2, 11, dtype=torch.float64, requires_grad=True)

    def score(x: Tensor, *_: Tensor) -> Tensor:
        return torch.autograd.grad(nade.log_prob(x).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(nade.log_prob, x)
    assert torch.autograd.gradcheck(score, (x, *nade.parameters()))


def test_under_autocast_the_kernel_stays_in_single_precision() -> None:
    nade = made(30, 4).float()
    x = torch.rand(7, 30).round()
    with torch.autocast("cpu", torch.bfloat16):
        loss = nade.log_prob(x).mean()
        inside = torch.autograd.grad(loss, nade.weight, retain_graph=True)[0]
    torch.testing.assert_close(inside, torch.autograd.grad(nade.log_prob(x).mean(), nade.weight)[0])
    torch.testing.assert_close(inside, torch.autograd.grad(loss, nade.weight)[0])


def test_samples_follow_the_probabilities() -> None:
    torch.manual_seed(0)
    nade, num = made(3, order=[2, 0, 1]), 40_000
    x = nade.sample(num)
    counts = torch.bincount((x @ torch.tensor([1.0, 2, 4], dtype=torch.float64)).long(), minlength=8)
    p = nade.log_prob(states(3)).exp()
    error = (num * p * (1 - p)).sqrt()
    assert ((counts - num * p).abs() < 4.5 * error).all()


def test_samples_have_the_shape_of_the_event_in_the_order_of_the_data() -> None:
    nade = NADE(Event((1, 2, 3), "binary"), 2, order=[5, 4, 3, 2, 1, 0])
    with torch.no_grad():
        nade.visible_bias.copy_(torch.tensor([99.0, 99, 99, -99, -99, -99]))
    x = nade.sample(1001)
    assert x.shape == (1001, 1, 2, 3)
    assert torch.equal(x.flatten(1)[0], torch.tensor([0.0, 0, 0, 1, 1, 1]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 0}, "`model.hidden`"),
        ({"order": [0, 0, 1]}, "`model.order`"),
        ({"order": "raster"}, "`model.order`"),
        ({"order": ["a", 1, 2]}, "`model.order`"),
        ({"order": [0.0, 1.0, 2.0]}, "`model.order`"),
        ({"order": True}, "`model.order`"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NADE(Event((3,), "binary"), **settings)  # type: ignore[arg-type]


def test_a_block_holds_at_most_a_tenth_of_the_activations() -> None:
    x, weight = torch.zeros(100, 784), torch.zeros(784, 500)
    assert all(len(range(784)[block]) <= 78 for block in blocks(x, weight))
    before, h = activations(torch.zeros(100, 500), x[:, :4], weight[:4])
    assert h.shape == (100, 4, 500)
    assert before.shape == (100, 4, 4)


def told(dims: int, context: Event, hidden: int = 3) -> NADE:
    """A conditional NADE in float64 with weights that matter."""
    nade = NADE(Event((dims,), "binary"), hidden, order=3, context=context).double()
    for parameter in nade.parameters():
        torch.nn.init.normal_(parameter)
    return nade


CLASSES = Event((), "categorical", 3)


def test_given_a_class_the_probabilities_sum_to_one_and_are_those_of_its_biases() -> None:
    nade, x = told(6, CLASSES), states(6)
    for y in range(3):
        log_p = nade.log_prob(x, torch.full((64,), y))
        assert log_p.logsumexp(0).item() == pytest.approx(0, abs=1e-10)
        of_the_class = made(6, order=3)
        of_the_class.load_state_dict(
            {
                "weight": nade.weight,
                "output_weight": nade.output_weight,
                "visible_bias": nade.visible_bias + nade.visible_told[:, y],
                "hidden_bias": nade.hidden_bias + nade.hidden_told[:, y],
            }
        )
        torch.testing.assert_close(log_p, by_definition(of_the_class, x), rtol=0, atol=1e-10)


def test_gradients_of_a_conditional_model_pass_gradcheck() -> None:
    nade, x, y = told(5, CLASSES), states(5)[::5], torch.arange(7) % 3

    def log_prob(*_: Tensor) -> Tensor:
        return nade.log_prob(x, y)

    assert torch.autograd.gradcheck(log_prob, tuple(nade.parameters()))


def test_samples_given_a_class_follow_the_probabilities() -> None:
    """Rows of mixed classes: each is drawn given its own."""
    nade, num = told(3, CLASSES), 20_000
    y = torch.arange(3).repeat(num)
    x = nade.sample(len(y), y)
    number = (x @ torch.tensor([1.0, 2, 4], dtype=torch.float64)).long()
    for each in range(3):
        counts = torch.bincount(number[y == each], minlength=8)
        p = nade.log_prob(states(3), torch.full((8,), each)).exp()
        assert ((counts - num * p).abs() < 4 * (num * p * (1 - p)).sqrt()).all()


def test_a_context_must_be_there_just_where_the_model_is_made_for_one() -> None:
    x, y = states(3), torch.zeros(8).long()
    for nade, context in ((told(3, CLASSES), None), (made(3), y)):
        with pytest.raises(ValueError, match="a context must be"):
            nade.log_prob(x, context)
        with pytest.raises(ValueError, match="a context must be"):
            nade.sample(8, context)
