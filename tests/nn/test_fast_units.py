"""Fast forms of functions of units against torch's own, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import distributions

from dgmrun.nn.binary import Bernoulli, log_bernoulli, sum_of_logs
from dgmrun.nn.mlp import Tanh

ROUNDING = 2.0**-23


@pytest.mark.parametrize("width", [1, 2, 3, 63, 64, 65, 784, 5000])
@pytest.mark.parametrize("least", [0.5, 1.0])
def test_shared_logarithms_add_up_at_the_limits_and_within(width: int, least: float) -> None:
    for factors in (torch.full((4, width), least), torch.rand(4, 3, width) / 2 + least):
        expected = factors.double().log().sum(-1)
        found = sum_of_logs(factors.clone())
        torch.testing.assert_close(found.double(), expected, rtol=8 * ROUNDING, atol=ROUNDING * width)


def test_logits_of_any_size_are_exact() -> None:
    logits = torch.tensor([-200.0, -100.0, -1.0, 0.0, 1.0, 100.0, 200.0]).repeat(1, 2, 1)
    x = torch.stack((logits[0, 0] > 0, logits[0, 0] < 0)).float()
    expected = distributions.Bernoulli(logits=logits.double()).log_prob(x.double()).sum(-1)
    torch.testing.assert_close(log_bernoulli(logits, x).double(), expected, rtol=4 * ROUNDING, atol=0)


def test_units_with_a_shared_normaliser_have_the_log_probabilities_and_gradients_of_torch() -> None:
    logits = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    z = torch.rand(7, 5, 6).round().double()
    ours, theirs = (family(logits=logits).log_prob(z) for family in (Bernoulli, distributions.Bernoulli))
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    gradients = (torch.autograd.grad((weight * each).sum(), logits)[0] for each in (ours, theirs))
    torch.testing.assert_close(*gradients)


def test_tanh_and_its_gradient_are_right_to_an_absolute_rounding_error() -> None:
    x = torch.cat((torch.linspace(-30, 30, 6001), torch.tensor([-1e30, -1e-30, 0.0, 1e-30, 1e30]))).requires_grad_()
    y = Tanh()(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    expected = torch.tanh(x.double())
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=2 * ROUNDING)
    torch.testing.assert_close(slope.double(), 1 - expected.square(), rtol=0, atol=4 * ROUNDING)
    curved = -2 * expected * (1 - expected.square())
    torch.testing.assert_close(curvature.double(), curved, rtol=0, atol=8 * ROUNDING)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_scored_in_single(dtype: torch.dtype) -> None:
    """Those of which the probability would round to 1."""
    logits, x = torch.full((1, 2, 784), 8.5, dtype=dtype), torch.tensor([0.0, 1.0]).repeat(784, 1).t()
    expected = distributions.Bernoulli(logits=logits.double()).log_prob(x.double()).sum(-1)
    torch.testing.assert_close(log_bernoulli(logits, x).double(), expected, rtol=1e-4, atol=0)
