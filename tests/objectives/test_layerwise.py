"""Objectives of binary units: the means of their gradients against sums over every state, and what tunes them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.latent.draws import given
from dgmrun.models.sbn import SBN
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.concrete import Concrete
from dgmrun.objectives.variational.muprop import MuProp
from dgmrun.objectives.variational.rebar import REBAR
from dgmrun.objectives.variational.relax import RELAX
from dgmrun.objectives.variational.score_function import ScoreFunction
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded
from tests.binary import gradient, sbn

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
COPIES, REPETITIONS = 1500, 40
UNBIASED = [MuProp, REBAR, RELAX]


def exact(model: SBN) -> Tensor:
    """The gradient of minus the ELBO."""
    z = bits(torch.arange(32), 5).double().unsqueeze(1).expand(-1, len(X), -1)
    trace = model.trace(X, given(z.split(model.hidden, -1)))
    log_q: Tensor = sum(trace.log_q)  # type: ignore[assignment]
    return gradient(model, -(log_q.exp() * trace.log_w).sum(0).mean())


def gradients(objective: Variational, copies: int, repetitions: int) -> Tensor:
    """Of the loss, again and again, [repetitions, parameters]."""
    batch = Batch(X.repeat(copies, 1), torch.arange(copies * len(X)))
    assert isinstance(objective.model, SBN)
    with seeded(7, "gradients"):
        return torch.stack([gradient(objective.model, objective.loss(batch)[0]) for _ in range(repetitions)])


@pytest.mark.parametrize("kind", UNBIASED)
@pytest.mark.parametrize("k", [1, 3])
def test_layer_by_layer_they_are_unbiased(kind: type[Variational], k: int) -> None:
    model = sbn([2, 2, 1])
    with seeded(4, "objective"):
        objective = kind(model, OPTIMIZATION, k=k).double()  # type: ignore[call-arg]
    found = gradients(objective, COPIES // k, REPETITIONS)
    error = found.std(0) / REPETITIONS**0.5
    assert ((found.mean(0) - exact(model)).abs() < 6.1 * error + 1e-9).all()


def test_the_concrete_relaxation_is_biased() -> None:
    found = gradients(Concrete(sbn([2, 2, 1]), OPTIMIZATION, temperature=0.5), COPIES, REPETITIONS)
    error = found.std(0) / REPETITIONS**0.5
    assert ((found.mean(0) - exact(sbn([2, 2, 1]))).abs() > 10 * error).any()


def spread(objective: Variational) -> float:
    """The mean variance of the gradient of two examples, over parameters."""
    return float(gradients(objective, 1, 120).var(0).mean())


@pytest.mark.parametrize("kind", [REBAR, RELAX])
def test_tuning_lowers_the_variance_below_that_of_the_score_function(kind: type[Variational]) -> None:
    with seeded(4, "objective"):
        objective = kind(sbn([2, 2, 1]), OPTIMIZATION, temperature=2.0).double()  # type: ignore[call-arg]
    before = spread(objective)
    tuned = [part for name, part in objective.named_parameters() if not name.startswith("model.")]
    optimizer, batch = Adam(tuned, lr=0.05), Batch(X.repeat(50, 1), torch.arange(100))
    with seeded(5, "tuning"):
        for _ in range(60):
            optimizer.zero_grad()
            objective.loss(batch)[0].backward()
            optimizer.step()
    after = spread(objective)
    assert after < before
    assert after < 0.5 * spread(ScoreFunction(sbn([2, 2, 1]), OPTIMIZATION))


def test_a_posterior_of_chains_is_refused() -> None:
    model = SBN(Event((3,), "binary"), [2], posterior="darn")
    for kind in (*UNBIASED, Concrete):
        with pytest.raises(ValueError, match=r"`model\.posterior` must be factorised"):
            kind(model, OPTIMIZATION)  # type: ignore[call-arg]


def test_settings_that_make_no_estimator_are_named() -> None:
    for kind in (REBAR, RELAX, Concrete):
        with pytest.raises(ValueError, match=r"`objective\.temperature` must be positive"):
            kind(sbn([2, 2, 1]), OPTIMIZATION, temperature=0.0)
    with pytest.raises(ValueError, match=r"`objective\.network` must be at least 1"):
        RELAX(sbn([2, 2, 1]), OPTIMIZATION, network=0)
