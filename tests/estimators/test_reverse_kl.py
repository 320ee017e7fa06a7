"""The divergence of a student from its teacher, against sums over every state and closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from dgmrun.estimators.fidelity.reverse_kl import ReverseKL
from dgmrun.models.nade import NADE
from dgmrun.models.rbm import RBM
from dgmrun.nn.binary import bits
from dgmrun.objectives.distillation.teacher import Teacher
from dgmrun.protocols.values import Batch, Estimate, Event, Evidence, half_width

D = 5
STATES = bits(torch.arange(2**D), D).double()
BATCH = Batch(STATES, torch.arange(2**D))


def random(model: Any) -> Any:
    for parameter in model.double().parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def test_it_is_the_sum_over_all_states_within_its_error() -> None:
    torch.manual_seed(0)
    student, rbm = random(NADE(Event((D,), "binary"), 3)), random(RBM(Event((D,), "binary"), 3))
    with torch.no_grad():
        log_f, log_q = rbm.log_unnormalised(STATES), student.log_prob(STATES)
        truth = float((log_q.exp() * (log_q - log_f)).sum() + log_f.logsumexp(0))
    z = float(log_f.logsumexp(0)) + 0.02
    log_z = Estimate("log_z", z, 0.02, (z - 0.05, z + 0.3), "estimate", "down")
    values, found = ReverseKL(20_000)(student, Evidence(BATCH, BATCH, teacher=Teacher(rbm, log_z)))
    assert found.standard_error is not None
    assert found.interval is not None
    assert abs(found.value - truth - 0.02) < 4 * (found.standard_error**2 - 0.02**2) ** 0.5
    assert found.standard_error > 0.02
    assert found.bias == "down"
    half = half_width((found.standard_error**2 - 0.02**2) ** 0.5, 20_000)
    ends = (found.value - (half**2 + 0.05**2) ** 0.5, found.value + (half**2 + 0.3**2) ** 0.5)
    assert found.interval == pytest.approx(ends)
    assert found.value == pytest.approx(float(values.mean()))
    assert found.diagnostics["per_dimension"] == pytest.approx(found.value / D)


class Gaussians(torch.nn.Module):
    """Independent Gaussians, of which samples are differentiable."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.event, self.p = Event((len(mean),), "real"), Normal(mean, scale)

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        return self.p.log_prob(x).sum(1)

    def sample(self, num: int, context: None = None) -> Tensor:
        raise AssertionError("samples and log q are had at once")

    def rsample_and_log_prob(self, num: int, context: None = None) -> tuple[Tensor, Tensor]:
        x = self.p.rsample((num,))
        return x, self.log_prob(x)


def test_of_gaussians_it_is_as_their_parameters_tell() -> None:
    torch.manual_seed(1)
    q, p = (Gaussians(torch.randn(3).double(), torch.rand(3).double() + 0.5) for _ in range(2))
    normalised = Estimate("log_z", 0.0, 0.0, (0.0, 0.0), "exact", "none")
    _, found = ReverseKL(20_000)(q, Evidence(BATCH, BATCH, teacher=Teacher(p, normalised)))
    truth = float(kl_divergence(q.p, p.p).sum())
    assert found.standard_error is not None
    assert abs(found.value - truth) < 4 * found.standard_error < 0.1
