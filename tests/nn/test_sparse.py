"""Sums of rows against the products that they are, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from dgmrun.models.rbm import RBM
from dgmrun.nn.sparse import WIDE, RowSums, affine
from dgmrun.protocols.values import Event

DIMS = 40


def states(share: float, number: float = 1.0) -> Tensor:
    """Thirty states with about this share of units at `number`, the same ones each time, and one that has none."""
    on = torch.rand(30, DIMS, generator=torch.Generator().manual_seed(0)) < share
    x = torch.where(on, torch.tensor(number, dtype=torch.float64), 0.0)
    return torch.cat([x, torch.zeros(1, DIMS, dtype=torch.float64)])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with each product that is made of sums of rows."""
    found, forward = [], RowSums.forward
    monkeypatch.setattr(RowSums, "forward", lambda *given: found.append(1) or forward(*given))
    return found


@pytest.mark.parametrize(
    ("x", "sums"),
    [
        (states(0.1), 1),
        (states(0.0), 1),
        (states(0.5), 0),
        (states(0.1, 0.5), 0),
        (states(0.1, -1.0), 0),
        (torch.cat([states(0.1), 0.5 * states(0.1), 1.5 * states(0.1)]), 0),
        (torch.cat([states(0.1), states(0.5)]), 0),
        (states(0.1, 1 + 1e-15), 0),
        (states(0.1).t().contiguous().t(), 1),
        (states(0.1)[::2], 1),
        (states(0.1, torch.nan), 0),
        (states(0.1).requires_grad_(), 0),
        (states(0.1)[:0], 0),
    ],
)
def test_any_states_have_the_values_and_gradients_of_the_product(
    x: Tensor, sums: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = counted(monkeypatch)
    weight = torch.randn(DIMS, WIDE, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(WIDE, dtype=torch.float64, requires_grad=True)
    ours, theirs = affine(bias, x, weight), torch.addmm(bias, x, weight)
    assert len(found) == sums
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    of_result = torch.randn_like(ours)
    gradients = (torch.autograd.grad(each, (bias, weight), of_result) for each in (ours, theirs))
    torch.testing.assert_close(*gradients, equal_nan=True)


def test_their_first_and_second_derivatives_are_right() -> None:
    x, weight = states(0.2)[:5, :4].bool(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda weight: RowSums.apply(x, weight), weight)
    assert torch.autograd.gradgradcheck(lambda weight: RowSums.apply(x, weight).sin(), weight)


def test_what_does_not_fit_is_refused_as_a_product_is() -> None:
    weight, bias = torch.ones(DIMS, WIDE, dtype=torch.float64), torch.ones(WIDE, dtype=torch.float64)
    for x, b in ((states(0.1)[:, 1:], bias), (states(0.1)[0], bias), (states(0.1), bias.float())):
        with pytest.raises(RuntimeError):
            affine(b, x, weight)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # of forward_ad's own
def test_a_forward_derivative_is_that_of_the_product() -> None:
    weight, of_weight = torch.randn(2, DIMS, WIDE, dtype=torch.float64)
    with forward_ad.dual_level():
        x, w = (forward_ad.make_dual(*both) for both in ((states(0.1), states(0.5)), (weight, of_weight)))
        found = forward_ad.unpack_dual(affine(torch.zeros(WIDE, dtype=torch.float64), x, w)).tangent
        alone = forward_ad.unpack_dual(affine(torch.zeros(WIDE, dtype=torch.float64), states(0.1), w)).tangent
    torch.testing.assert_close(found, states(0.5) @ weight + states(0.1) @ of_weight)
    torch.testing.assert_close(alone, states(0.1) @ of_weight)


def test_what_is_compiled_is_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    affine(torch.zeros(WIDE, dtype=torch.float64), states(0.1), torch.ones(DIMS, WIDE, dtype=torch.float64))
    assert not found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_numbers_are_rounded_as_those_of_a_product(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch)
    x, weight, bias = states(0.1).to(dtype), torch.randn(DIMS, WIDE, dtype=dtype), torch.zeros(WIDE, dtype=dtype)
    result = affine(bias, x, weight)
    assert (result.dtype, len(found)) == (dtype, dtype == torch.float32)
    torch.testing.assert_close(result.double(), x.double() @ weight.double(), rtol=0, atol=16 * torch.finfo(dtype).eps)


def test_a_product_that_runs_in_half_precision_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch)
    with torch.autocast("cpu", torch.bfloat16):
        assert affine(torch.zeros(WIDE), states(0.1).float(), torch.ones(DIMS, WIDE)).dtype == torch.bfloat16
    assert not found


def test_a_wide_rbm_of_few_ones_trains_by_them_on_the_contrast_that_it_states(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm, found = RBM(Event((DIMS,), "binary"), WIDE, weight_std=0.3).double(), counted(monkeypatch)
    x, walked = states(0.1), states(0.1).flip(1)
    (rbm.log_unnormalised(x).mean() - rbm.log_unnormalised(walked).mean()).backward()
    assert len(found) == 4, "two forward, two backward"
    p, p_walked = (torch.sigmoid(rbm.hidden_bias + v @ rbm.weight) for v in (x, walked))
    torch.testing.assert_close(rbm.weight.grad, (x.t() @ p - walked.t() @ p_walked) / len(x))
