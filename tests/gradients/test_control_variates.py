"""Control variates against the exact gradient of one or two binary units; the toy of REBAR and RELAX."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.gradients.control_variates import muprop, relaxed
from dgmrun.gradients.relaxation import conditional, logistic, uniform
from dgmrun.gradients.score_function import score_function
from dgmrun.nn.binary import bits

NUM = 200_000


def cost(b: Tensor) -> Tensor:
    """Something of two units that is not linear."""
    return (b[..., 0] - 0.45) ** 2 + 1.5 * b[..., 0] * b[..., 1] - torch.sin(b[..., 1] + 1)


def exact(logits: Tensor) -> Tensor:
    """The gradient of E[cost]."""
    a = logits.clone().requires_grad_()
    b = bits(torch.arange(4), 2).double()
    log_q = (b * a - torch.nn.functional.softplus(a)).sum(-1)
    return torch.autograd.grad((log_q.exp() * cost(b)).sum(), a)[0]


def assert_mean(found: Tensor, expected: Tensor) -> None:
    """Over samples, to 4.8 standard errors."""
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4.8 * error + 1e-12).all()


LOGITS = torch.tensor([0.4, -0.7], dtype=torch.float64)
CONTROLS = {
    "that of REBAR": lambda zeta: 0.8 * cost(torch.sigmoid(zeta / 0.5)),
    "any other": lambda zeta: torch.tanh(zeta).sum(-1) + zeta.prod(-1) / 9,
}


def samples() -> tuple[Tensor, Tensor, Tensor]:
    """Log odds, and two uniform variables for each."""
    logits = LOGITS.expand(NUM, -1)
    return logits, uniform(logits), uniform(logits)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_relaxed_control_variate_is_unbiased(control: str) -> None:
    logits, u, v = samples()
    f = cost((logistic(logits, u) > 0).double())
    assert_mean(relaxed(f, CONTROLS[control], logits, u, v).detach(), exact(LOGITS))


@pytest.mark.parametrize("c", [cost, lambda b: b.sum(-1).exp()])
def test_muprop_is_unbiased_to_rounding(c: object) -> None:
    b = bits(torch.arange(4), 2).double()
    log_q = (b * LOGITS - torch.nn.functional.softplus(LOGITS)).sum(-1)
    found = muprop(cost(b), c, LOGITS.expand(4, -1), b)  # type: ignore[arg-type]
    torch.testing.assert_close((log_q.exp().unsqueeze(-1) * found).sum(0), exact(LOGITS), rtol=0, atol=1e-12)


def test_a_linear_cost_leaves_muprop_no_variance() -> None:
    b = bits(torch.arange(4), 2).double()

    def linear(b: Tensor) -> Tensor:
        return b @ torch.tensor([0.3, -2.0], dtype=torch.float64)

    found = muprop(linear(b), linear, LOGITS.expand(4, -1), b)
    torch.testing.assert_close(found, found[:1].expand(4, -1))


def test_logistic_variables_given_the_unit_have_its_sign_and_together_their_distribution() -> None:
    logits, u, v = samples()
    b = (logistic(logits, u) > 0).double()
    zeta = conditional(logits, b, v)
    assert ((zeta > 0) == (b > 0)).all()
    for shift in (-2.0, 0.0, 1.5):
        chance = torch.sigmoid(shift - LOGITS)  # P(zeta < shift)
        error = (chance * (1 - chance) / NUM).sqrt()
        assert (((zeta < shift).double().mean(0) - chance).abs() < 4.8 * error).all()


@pytest.mark.parametrize(("t", "variance"), [(0.45, 0.0159390625), (0.499, 0.015625125)])
def test_the_toy_has_its_published_gradient(t: float, variance: float) -> None:
    def f(b: Tensor) -> Tensor:
        return ((b - t) ** 2).squeeze(-1)

    b = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    log_q = (b * logit - torch.nn.functional.softplus(logit)).squeeze(-1)
    each = [score_function(f(b)[i : i + 1], log_q[i : i + 1]) for i in (0, 1)]
    plain = [torch.autograd.grad(one, logit, retain_graph=True)[0] for one in each]
    assert float(torch.stack(plain).var(correction=0)) == pytest.approx(variance, abs=1e-12)
    logits = torch.zeros(NUM, 1, dtype=torch.float64)
    u, v = uniform(logits), uniform(logits)
    found = relaxed(f((logistic(logits, u) > 0).double()), lambda zeta: f(torch.sigmoid(zeta / 0.5)), logits, u, v)
    assert_mean(found.detach(), torch.tensor([(1 - 2 * t) / 4], dtype=torch.float64))


@pytest.mark.slow
def test_relax_reaches_the_minimum_of_the_toy() -> None:
    """Adam, lr 0.01, one sample a step, a net of 10 units, as published; t = 0.45 and 0.499, 20 trainings of each."""
    t = torch.tensor([0.45, 0.499], dtype=torch.float64).repeat_interleave(20)
    logit = torch.zeros(len(t), 1, dtype=torch.float64)
    inner, outer = torch.randn(len(t), 10, dtype=torch.float64), 0.1 * torch.randn(len(t), 10, dtype=torch.float64)
    own = [part.requires_grad_() for part in (inner, outer, torch.zeros_like(inner), torch.full_like(t, 0.5).log())]

    def f(b: Tensor) -> Tensor:
        return (b.squeeze(-1) - t) ** 2

    def c(zeta: Tensor) -> Tensor:
        inner, outer, bias, log_temperature = own
        soft = f(torch.sigmoid(zeta / log_temperature.exp().unsqueeze(-1)))
        return soft + (torch.tanh(zeta * inner + bias) * outer).sum(-1)

    descent, tuning = Adam([logit], lr=0.01), Adam(own, lr=0.01)
    for _ in range(10_000):
        u, v = uniform(logit), uniform(logit)
        found = relaxed(f((logistic(logit, u) > 0).double()), c, logit, u, v)
        for part, slope in zip(own, torch.autograd.grad(found.square().sum(), own), strict=True):
            part.grad = slope
        logit.grad = found.detach()
        descent.step()
        tuning.step()
    p = torch.sigmoid(logit).squeeze(-1)
    loss = t**2 + p * (1 - 2 * t)
    assert (loss - t**2 < 1e-3).all()  # .2025 and .249001
    assert (p[t == 0.45] < 0.02).all()
    assert p[t == 0.499].median() < 0.3
