"""Wake-sleep and reweighted wake-sleep: the means of their gradients against sums over every state."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.latent.draws import given
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.sbn import SBN
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.rws import RWS
from dgmrun.objectives.variational.wake_sleep import WakeSleep
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded
from tests.binary import gradient, sbn

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
X = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
COPIES, REPETITIONS = 100, 200


def joint(model: SBN, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) and log q(z|x) of every z, [states, batch]."""
    z = bits(torch.arange(8), 3).double().unsqueeze(1).expand(-1, len(x), -1)
    trace = model.trace(x, given(z.split(model.hidden, -1)))
    return sum(trace.log_p), sum(trace.log_q)  # type: ignore[return-value]


def sleep(model: SBN) -> Tensor:
    """-E_p(x, z)[log q(z|x)]."""
    x = bits(torch.arange(8), 3).double()
    log_p, log_q = joint(model, x)
    return -(log_p.detach().exp() * log_q).sum()


def weighted(model: SBN, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """-L_k, and what has the gradients of wake_p and wake_q, over every k-tuple of states, mean over X."""
    log_p, log_q = joint(model, X)
    tuples = torch.tensor(list(itertools.product(range(8), repeat=k)))
    log_w = (log_p - log_q.detach())[tuples]  # [tuples, k, batch]
    chance = log_q.detach()[tuples].sum(1).exp()
    bound = -(chance * (log_w.logsumexp(1) - torch.tensor(k).log())).sum(0).mean()
    share = log_w.detach().softmax(1)
    wake_p, wake_q = (-(chance * (share * each[tuples]).sum(1)).sum(0).mean() for each in (log_p, log_q))
    return bound, wake_p, wake_q


def check_mean(objective: Variational, expected: Tensor) -> None:
    """The gradient of the loss is `expected` in the mean of many."""
    batch = Batch(X.repeat(COPIES, 1), torch.arange(COPIES * len(X)))
    with seeded(7, "gradients"):
        found = torch.stack([gradient(objective.model, objective.loss(batch)[0]) for _ in range(REPETITIONS)])
    error = found.std(0) / REPETITIONS**0.5
    assert ((found.mean(0) - expected).abs() < 5.2 * error + 1e-9).all()


def test_wake_and_sleep_have_the_gradients_of_the_two_sums() -> None:
    model = sbn([2, 1])
    log_p, log_q = joint(model, X)
    wake = -(log_q.detach().exp() * log_p).sum(0).mean()
    check_mean(WakeSleep(model, OPTIMIZATION, k=2), gradient(model, wake + sleep(model)))


@pytest.mark.parametrize(
    ("update", "loss"),
    [
        ("wake_p", lambda model: weighted(model, 2)[0]),
        ("wake_q", lambda model: weighted(model, 2)[2]),
        ("sleep_q", sleep),
    ],
)
def test_updates_have_the_gradients_of_their_sums(update: str, loss: Callable[[SBN], Tensor]) -> None:
    model = sbn([2, 1])
    check_mean(RWS(model, OPTIMIZATION, k=2, updates=[update]), gradient(model, loss(model)))


def test_wake_updates_are_biased_and_the_less_the_more_samples() -> None:
    model = sbn([2, 1])
    log_p, log_q = joint(model, X)
    log_px = log_p.logsumexp(0)
    posterior = (log_p - log_px).detach().exp()
    towards = (-log_px.mean(), -(posterior * log_q).sum(0).mean())
    away = []
    for k in (1, 2, 4):
        _, *wakes = weighted(model, k)
        pairs = zip(wakes, towards, strict=True)
        away.append([(gradient(model, wake) - gradient(model, limit)).norm() for wake, limit in pairs])
    first, second, fourth = torch.tensor(away)
    assert (fourth > 1e-2).all()
    assert (second < 0.8 * first).all()
    assert (fourth < 0.8 * second).all()


def test_the_bound_is_the_mean_log_weight() -> None:
    model = sbn([2, 1])
    log_p, log_q = (part.detach() for part in joint(model, X))
    elbo = float((log_q.exp() * (log_p - log_q)).sum(0).mean())
    batch = Batch(X.repeat(50_000, 1), torch.arange(100_000))
    with seeded(8, "bound"):
        bound = float(WakeSleep(model, OPTIMIZATION, k=1).loss(batch)[1]["bound"])
    spread = float((log_q.exp() * (log_p - log_q - elbo).square()).sum(0).mean().sqrt())
    assert abs(bound + elbo) < 4.8 * spread / 100_000**0.5


def test_updates_that_are_none_are_named() -> None:
    for updates in ([], ["wake"], ["wake_p", "wake_p"]):
        with pytest.raises(ValueError, match=r"`objective\.updates` must be some of wake_p, wake_q, sleep_q"):
            RWS(sbn([2, 1]), OPTIMIZATION, updates=updates)


def test_dreams_need_a_net() -> None:
    model = LinearVAE(Event((3,), "real"), 1, "local")
    for objective in (partial(WakeSleep, k=1), RWS):
        with pytest.raises(ValueError, match=r"`model\.posterior` must be amortised"):
            objective(model, OPTIMIZATION)
    RWS(model, OPTIMIZATION, updates=["wake_p", "wake_q"])
