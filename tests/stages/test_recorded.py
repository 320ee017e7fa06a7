"""Gradients side by side against the same gradients one after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.gradients.exact import bound
from dgmrun.models.sbn import SBN
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.concrete import Concrete
from dgmrun.objectives.variational.muprop import MuProp
from dgmrun.objectives.variational.rebar import REBAR
from dgmrun.objectives.variational.relax import RELAX
from dgmrun.objectives.variational.rws import RWS
from dgmrun.objectives.variational.score_function import ScoreFunction
from dgmrun.objectives.variational.vimco import VIMCO
from dgmrun.objectives.variational.wake_sleep import WakeSleep
from dgmrun.protocols.values import Batch
from dgmrun.stages.gradients.measured import Measured
from dgmrun.stages.gradients.recorded import side_by_side
from tests.binary import gradient, sbn

NVIL = partial(ScoreFunction, centre="mean", network=3)
OBJECTIVES = {
    **{"concrete": Concrete, "muprop": MuProp, "rebar": REBAR, "relax": RELAX, "nvil": NVIL, "rws": RWS},
    **{"vimco": VIMCO, "wake_sleep": WakeSleep, "optimal": partial(ScoreFunction, centre="optimal", k=2)},
}


def measured(kind: partial[Variational], model: SBN) -> Measured:
    return Measured("this", kind(model, Optimization(partial(Adam, lr=1e-3))).double(), {})


def batches(num: int) -> list[Batch]:
    return [Batch(torch.rand(4, 3, dtype=torch.float64).round(), torch.arange(4)) for _ in range(num)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_of_one_batch_it_is_that_of_the_same_draws(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform variables are replaced by constants, which each of those side by side draws alike."""
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, 0.3))
    one, every = measured(OBJECTIVES[name], sbn([2, 1] if name == "rebar" else [2])), batches(3)
    one.objective.rank_state.update({key: part.double() + 0.5 for key, part in one.objective.rank_state.items()})
    before = {key: part.clone() for key, part in one.objective.rank_state.items()}
    one.record(every[0])
    assert one.together is not None
    found = one._together(one.together, every)
    assert all(torch.equal(part, before[key]) for key, part in one.objective.rank_state.items()), "it moved"
    for batch, g in zip(every, found, strict=True):
        one.objective.take_rank_state(before)
        torch.testing.assert_close(g, one._gradient(batch), rtol=1e-9, atol=1e-12)


def test_their_draws_are_independent_and_their_mean_is_the_gradient() -> None:
    """The mean of 4,000 to 4.5 standard errors, of which 1e-4 of all 18 parameters are further off; correlations."""
    model = sbn([2])
    one, (batch,) = measured(partial(ScoreFunction, k=1), model), batches(1)
    one.record(batch)
    assert one.together is not None
    found = one._together(one.together, [batch] * 4000)
    exact = gradient(model, -bound(partial(model.trace, batch.x), batch.x, model.hidden).mean())
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - exact).abs() < 4.5 * error + 1e-12).all()
    noise = (found - exact) / (found.std(0) + 1e-12)
    assert ((noise[1:] * noise[:-1]).mean(0).abs() < 4.5 / len(found) ** 0.5).all()


def test_what_depends_on_values_is_refused_and_done_one_after_another() -> None:
    class Asks(ScoreFunction):
        def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            loss, terms = super().loss(batch)
            return (loss if loss > 0 else -loss), terms

    one, every = measured(partial(Asks, k=1), sbn([2])), batches(4)
    one.record(every[0])
    assert one.together is None
    one.add_all(every, [None] * 4)
    assert one.gradients.num == len(one.alone) == 4


def test_a_gradient_within_is_one_of_the_operations() -> None:
    weight = torch.tensor(2.0)

    def curved(parts: Sequence[Tensor]) -> Tensor:
        x = parts[0].detach().requires_grad_()
        return weight * torch.autograd.grad((x**3).sum(), x)[0]

    together = side_by_side(curved, [torch.ones(2)])
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(together([x]), 6 * x**2)
    weight.fill_(1)
    assert torch.equal(together([x]), 3 * x**2), "what it reads besides its inputs is read again"
