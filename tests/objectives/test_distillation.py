"""Losses of distillation, and their gradients, against sums over every state; the teacher's stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from dgmrun.data.source import InMemorySource
from dgmrun.models.nade import NADE
from dgmrun.models.rbm import RBM
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.distillation.base import Offset
from dgmrun.objectives.distillation.distill_kl import DistillKL
from dgmrun.objectives.distillation.distill_mix import DistillMix
from dgmrun.objectives.distillation.distill_score import DistillScore
from dgmrun.objectives.distillation.distill_se import DistillSE
from dgmrun.objectives.distillation.distill_variational import DistillVariational
from dgmrun.objectives.distillation.stream import StreamSettings, TeacherStream
from dgmrun.objectives.distillation.teacher import Teacher
from dgmrun.paths import options
from dgmrun.protocols.models import MarkovChain, Topped, roles
from dgmrun.protocols.values import Batch, Estimate, Event
from dgmrun.workbench import build
from tests.conftest import of_other_data

D = 4
STATES = bits(torch.arange(2**D), D).double()
SGD = Optimization(partial(torch.optim.SGD, lr=0.1))
SETTINGS = {name: yaml.safe_load(file.read_text())["model"] for name, file in options("model").items()}
CHAINS = [
    name
    for name, node in SETTINGS.items()
    if roles(build.target(node)).sampler in (MarkovChain, Topped) and name not in of_other_data()
]
"""Models of bits that are sampled by chains."""
EXACT = Estimate("log_z", 1.5, 0.0, (1.5, 1.5), "exact", "none")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def random(model: Any) -> Any:
    for parameter in model.double().parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


@pytest.fixture
def student() -> NADE:
    return random(NADE(Event((D,), "binary"), 3))  # type: ignore[no-any-return]


@pytest.fixture
def rbm() -> RBM:
    return random(RBM(Event((D,), "binary"), 3))  # type: ignore[no-any-return]


def log_z(rbm: RBM) -> Tensor:
    return rbm.log_unnormalised(STATES).logsumexp(0).detach()


def log_p(rbm: RBM) -> Tensor:
    return rbm.log_unnormalised(STATES).detach() - log_z(rbm)


def expected(objective: Any, weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The mean of loss and gradient over batches of one state each."""
    loss, gradients = torch.zeros(()), [torch.zeros_like(part) for part in objective.model.parameters()]
    for weight, x in zip(weights, STATES, strict=True):
        one, _ = objective.loss(Batch(x[None], torch.zeros(1)))
        loss = loss + weight * one.detach()
        for total, part in zip(gradients, torch.autograd.grad(one, list(objective.model.parameters())), strict=True):
            total += weight * part
    return loss, gradients


def kl(student: NADE, rbm: RBM, **_: Any) -> Tensor:
    return -(log_p(rbm).exp() * student.log_prob(STATES)).sum()


def se(student: NADE, rbm: RBM, c: float = 0.0) -> Tensor:
    error = student.log_prob(STATES) - rbm.log_unnormalised(STATES).detach() + c
    return (log_p(rbm).exp() * error**2).sum() / 2


def score(student: NADE, rbm: RBM, **_: Any) -> Tensor:
    """Derivatives by central differences, which are exact enough in float64."""

    def derivative(log_d: Callable[[Tensor], Tensor], d: int, h: float = 1e-5) -> Tensor:
        step = torch.zeros(D, dtype=torch.float64)
        step[d] = h
        return (log_d(STATES + step) - log_d(STATES - step)) / (2 * h)

    error = sum((derivative(student.log_prob, d) - derivative(rbm.log_unnormalised, d).detach()) ** 2 for d in range(D))
    return (log_p(rbm).exp() * error).sum() / 2


def mix(student: NADE, rbm: RBM, **_: Any) -> Tensor:
    return 0.3 * kl(student, rbm) + 0.5 * se(student, rbm, 0.7) + 2 * score(student, rbm) / D


@pytest.mark.parametrize(
    ("kind", "settings", "truth", "tolerance"),
    [
        (DistillKL, {}, kl, 1e-12),
        (DistillSE, {}, se, 1e-12),
        (DistillSE, {"offset": 0.7}, partial(se, c=0.7), 1e-12),
        (DistillSE, {"offset": "teacher"}, partial(se, c=1.5), 1e-12),
        (DistillScore, {}, score, 1e-6),
        (DistillMix, {"kl": 0.3, "se": 0.5, "score": 2.0, "offset": 0.7}, mix, 1e-6),
    ],
)
def test_loss_and_gradient_are_those_of_enumeration(
    kind: Any, settings: dict[str, Any], truth: Callable[..., Tensor], tolerance: float, student: NADE, rbm: RBM
) -> None:
    objective = kind(student, SGD, Teacher(rbm, EXACT), StreamSettings(), **settings)
    loss, gradients = expected(objective, log_p(rbm).exp())
    enumerated = truth(student, rbm)
    torch.testing.assert_close(loss, enumerated.detach(), rtol=tolerance, atol=tolerance, check_dtype=False)
    for one, other in zip(gradients, torch.autograd.grad(enumerated, list(student.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=10 * tolerance)


def test_the_reverse_divergence_is_unbiased_over_every_pair_of_samples(
    student: NADE, rbm: RBM, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = DistillVariational(student, SGD, Teacher(rbm, None))
    log_q = student.log_prob(STATES)
    truth = (log_q.exp() * (log_q - rbm.log_unnormalised(STATES).detach())).sum()
    gradients = [torch.zeros_like(part) for part in student.parameters()]
    value = torch.zeros(())
    for i, j in product(range(len(STATES)), repeat=2):
        monkeypatch.setattr(student, "sample", lambda num, context, pair=(i, j): STATES[list(pair)])
        loss, _ = objective.loss(Batch(STATES[:2], torch.zeros(2)))
        weight = (log_q[i] + log_q[j]).exp().detach()
        value = value + weight * loss.detach()
        for total, part in zip(gradients, torch.autograd.grad(loss, list(student.parameters())), strict=True):
            total += weight * part
    torch.testing.assert_close(value, truth.detach(), rtol=0, atol=1e-12, check_dtype=False)
    for one, other in zip(gradients, torch.autograd.grad(truth, list(student.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_centred_batch_is_half_its_variance(student: NADE, rbm: RBM) -> None:
    objective = DistillSE(student, SGD, Teacher(rbm, None), StreamSettings(), offset="batch")
    loss, _ = objective.loss(Batch(STATES, torch.zeros(16)))
    ratio = (student.log_prob(STATES) - rbm.log_unnormalised(STATES)).detach()
    torch.testing.assert_close(loss.detach(), ratio.var(unbiased=False) / 2)


@pytest.mark.parametrize("offset", ["batch", "learned"])
def test_an_offset_that_is_not_given_tends_to_log_z_and_the_divergence(offset: str, student: NADE, rbm: RBM) -> None:
    """At a student that stays as it is; c is least where it is E_p[log f - log q] = log Z + KL(p||q)."""
    known = Estimate("log_z", float(log_z(rbm)), 0.0, (float(log_z(rbm)),) * 2, "exact", "none")
    objective = DistillSE(student, SGD, Teacher(rbm, known), StreamSettings(), offset=offset)
    p = log_p(rbm).exp()
    divergence = (p * (log_p(rbm) - student.log_prob(STATES))).sum().detach()
    for _ in range(800):  # 8 times the memory of the offset, which leaves 3e-4 of where it began
        x = STATES[torch.multinomial(p, 100, replacement=True)]
        loss, _ = objective.loss(Batch(x, torch.zeros(100)))
        if offset == "learned":
            (gradient,) = torch.autograd.grad(loss, objective.offset.c)
            objective.offset.c.data -= 0.01 * gradient
    spread = (student.log_prob(STATES) - rbm.log_unnormalised(STATES)).detach()
    error = float((p * (spread - (p * spread).sum()) ** 2).sum() / 100 * 0.01 / 1.99) ** 0.5
    assert abs(float(objective.offset.c.detach()) - float(log_z(rbm) + divergence)) < 4 * error
    assert "exceeds" in objective.doubts()[0]


def test_an_offset_below_log_z_is_not_doubted(rbm: RBM) -> None:
    assert Offset(None, Teacher(rbm, EXACT)).doubts() == []
    assert Offset("teacher", Teacher(rbm, EXACT)).doubts() == []
    assert Offset(9.0, Teacher(rbm, None)).doubts() == []
    assert len(Offset(9.0, Teacher(rbm, EXACT)).doubts()) == 1


@pytest.mark.parametrize("offset", ["log_z", "teacher"])
def test_an_offset_that_cannot_be_is_refused(offset: Any, rbm: RBM) -> None:
    with pytest.raises(ValueError, match=r"`objective\.offset`"):
        Offset(offset, Teacher(rbm, None))


def source(batch_size: int = 4, rank: int = 0, world_size: int = 1) -> InMemorySource:
    return InMemorySource(STATES, None, batch_size, 0, rank, world_size)


def drawn(stream: TeacherStream, num: int) -> list[Tensor]:
    return [stream.draw().x for _ in range(num)]


@pytest.mark.parametrize("kind", [RBM, NADE])
def test_a_stream_goes_on_from_any_place_to_the_bit(kind: Any) -> None:
    teacher = random(kind(Event((1, 2, 2), "binary"), 3)).float()
    settings = StreamSettings(num_chains=12, burn_in=5)
    whole = drawn(TeacherStream(teacher, settings, source()), 11)
    for place in range(1, 11):
        first, second = (TeacherStream(teacher, settings, source()) for _ in range(2))
        drawn(first, place)
        second.load_state_dict(first.state_dict())
        for one, other in zip(drawn(second, 11 - place), whole[place:], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", CHAINS)
def test_every_chain_teaches_whether_it_has_a_density_or_not(name: str) -> None:
    """Its students see bits, which go on from their state."""
    settings = {key: value for key, value in SETTINGS[name].items() if key != "_target_"}
    teacher = build.target(SETTINGS[name])(Event((1, 2, 2), "binary"), **settings)
    first, second = (TeacherStream(teacher, StreamSettings(num_chains=12, burn_in=5), source()) for _ in range(2))
    batches = drawn(first, 3)
    assert all(batch.shape == (4, 1, 2, 2) and batch.eq(batch.ne(0)).all() for batch in batches)
    second.load_state_dict(first.state_dict())
    assert all(map(torch.equal, drawn(first, 3), drawn(second, 3)))


def test_chains_take_turns_and_all_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm, sweeps = RBM(Event((D,), "binary"), 3), []

    def walk(x: Tensor, steps: int) -> Tensor:
        sweeps.append((len(x), steps))
        return torch.arange(12.0)[:, None].expand(12, D).clone()

    monkeypatch.setattr(rbm, "walk", walk)
    batches = drawn(TeacherStream(rbm, StreamSettings(num_chains=12, burn_in=5, thin=2), source()), 4)
    assert [batch[:, 0].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2, 3]]
    assert sweeps == [(12, 5)] + [(12, 2)] * 4


@pytest.mark.parametrize("kind", [RBM, NADE])
def test_without_thinning_the_samples_are_a_bank(kind: Any) -> None:
    teacher = kind(Event((D,), "binary"), 3)
    batches = drawn(TeacherStream(teacher, StreamSettings(num_chains=8, burn_in=5, thin=0), source()), 4)
    assert torch.equal(batches[0], batches[2])
    assert torch.equal(batches[1], batches[3])


def test_processes_share_the_chains_and_draw_apart(rbm: RBM) -> None:
    settings = StreamSettings(num_chains=400, burn_in=1)
    one, two = (drawn(TeacherStream(rbm.float(), settings, source(16, rank, 2)), 25) for rank in range(2))
    assert one[0].shape == (8, D)
    assert not torch.equal(torch.cat(one), torch.cat(two))


def test_samples_of_a_stream_follow_the_teacher(rbm: RBM) -> None:
    settings = StreamSettings(num_chains=20_000, burn_in=50)
    x = TeacherStream(rbm.float(), settings, InMemorySource(STATES.repeat(1250, 1), None, 20_000, 0)).draw().x
    counts = torch.bincount((x @ torch.tensor([1.0, 2, 4, 8])).long(), minlength=16)
    p = log_p(rbm.double()).exp()
    assert ((counts - 20_000 * p).abs() < 4.5 * (20_000 * p * (1 - p)).sqrt()).all()


def test_another_number_of_processes_takes_the_chains_over(rbm: RBM) -> None:
    settings = StreamSettings(num_chains=16, burn_in=1)
    halves = [TeacherStream(rbm.float(), settings, source(4, rank, 2)) for rank in range(2)]
    for half in halves:
        drawn(half, 3)
    whole = TeacherStream(rbm, settings, source())
    whole.load_shares([half.state_dict() for half in halves])
    assert whole.position == 3
    assert whole.draw().x.shape == (4, D)


@pytest.mark.parametrize("chains", [None, "chains", torch.full((12, D), 7), torch.zeros(4, D)])
def test_chains_of_another_kind_are_refused(chains: Any, rbm: RBM) -> None:
    stream = TeacherStream(rbm, StreamSettings(num_chains=12), source())
    with pytest.raises(ValueError, match="its chains must be"):
        stream.load_state_dict({**stream.state_dict(), "position": 1, "chains": chains})


@pytest.mark.parametrize(("settings", "said"), [({"num_chains": 0}, "num_chains"), ({"thin": -1}, "thin")])
def test_streams_that_cannot_be_are_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StreamSettings(**settings)


def test_chains_must_be_dealt_out_in_whole_batches(rbm: RBM) -> None:
    with pytest.raises(ValueError, match="multiple"):
        TeacherStream(rbm, StreamSettings(num_chains=10), source())


@pytest.mark.parametrize(("batch_size", "chains"), [(20, 2000), (100, 2000), (256, 2048), (5000, 5000)])
def test_chains_are_about_2000_in_whole_batches_if_not_asked_for(batch_size: int, chains: int) -> None:
    assert StreamSettings().chains(batch_size) == chains


class Gaussian(torch.nn.Module):
    """A Gaussian of one dimension, of which samples are differentiable."""

    def __init__(self, mean: float, log_scale: float) -> None:
        super().__init__()
        self.parameters_ = torch.nn.Parameter(torch.tensor([mean, log_scale], dtype=torch.float64))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        mean, log_scale = self.parameters_
        return torch.distributions.Normal(mean, log_scale.exp()).log_prob(x[:, 0])

    def sample(self, num: int, context: None = None) -> Tensor:
        raise AssertionError("samples are differentiated")

    def rsample_and_log_prob(self, num: int, context: None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.parameters_
        x = mean + log_scale.exp() * torch.randn(num, 1, dtype=torch.float64)
        return x, self.log_prob(x)


def test_gradients_of_the_reverse_kl_go_through_samples_where_they_can() -> None:
    r"""KL = ln(s' / s) + (s^2 + (m - m')^2) / 2 s'^2 - 1/2: of it, the gradient in (m, ln s) is known."""
    student, teacher = Gaussian(0.5, -0.3), Gaussian(-0.2, 0.4)
    objective = DistillVariational(student, SGD, Teacher(teacher, EXACT))
    batch = Batch(torch.zeros(10, 1).double(), torch.arange(10))
    each = [torch.autograd.grad(objective.loss(batch)[0], [student.parameters_])[0] for _ in range(2000)]
    found = torch.stack(each)
    s, t = torch.tensor(-0.3).double().exp(), torch.tensor(0.4).double().exp()
    truth = torch.stack((0.7 / t**2, s**2 / t**2 - 1))
    assert ((found.mean(0) - truth).abs() < 4.5 * found.std(0) / 2000**0.5).all()
    assert (found.std(0) < 1).all(), "as little variance as a path gradient has"
