"""The divergence of a student from its teacher, against sums over every state and closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
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
from tests.conftest import BINARY

Command = Callable[..., int]
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


def test_without_a_teacher_it_is_refused_in_a_line(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert dgmrun(*BINARY, "model=nade", "train", "fidelity", "fidelity.methods=[reverse_kl]") == 2
    assert "`fidelity.methods` can have reverse_kl only where the run has one teacher, still" in capsys.readouterr().err


def test_a_teacher_that_changed_is_none(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A student is measured beside its teacher until that is trained on."""
    few = [*BINARY, "trainer.max_steps=3", "model.hidden=3"]
    assert dgmrun("model=nade", *few, "train", "hydra.run.dir=teacher") == 0
    student = ["model=made", *BINARY, "model.hidden=[3]", "objective=distill_kl", "objective.teacher=teacher"]
    assert dgmrun(*student, "trainer.max_steps=3", "train", "fidelity", "hydra.run.dir=student") == 0
    found = json.loads(Path("student/results.json").read_text())["fidelity"]["reverse_kl"]
    assert found["value"] > -3 * found["standard_error"]
    assert dgmrun("run=teacher", "train", "trainer.max_steps=6") == 0
    assert dgmrun("run=student", "fidelity", "fidelity.methods=[reverse_kl]") == 2
    assert "only where the run has one teacher, still there and as it was" in capsys.readouterr().err
