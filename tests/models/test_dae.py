"""The denoising auto-encoder against laws that its chain is known to have."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.data.source import InMemorySource
from dgmrun.models import DAE
from dgmrun.nn.binary import bits
from dgmrun.nn.observation import LEAST_SCALE
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.denoising import Denoising
from dgmrun.objectives.distillation.stream import StreamSettings
from dgmrun.objectives.distillation.teacher import Teacher
from dgmrun.protocols.models import MarkovChain, roles
from dgmrun.protocols.values import Batch, Event

OPTIMIZATION = Optimization(partial(torch.optim.SGD, lr=0.0))
FINITE = {
    "binary": (Event((3,), "binary"), bits(torch.arange(8), 3).float()),
    "categorical": (Event((2,), "categorical", 3), torch.cartesian_prod(torch.arange(3), torch.arange(3))),
    "levels": (Event((2,), "levels", 3), torch.cartesian_prod(torch.arange(3), torch.arange(3))),
}


@pytest.mark.parametrize("kind", FINITE)
def test_corruptions_follow_their_law(kind: str) -> None:
    """Every state sums to 1, and is drawn as often as it says: 5 standard errors, false alarms below 1e-4."""
    event, states = FINITE[kind]
    model, num = DAE(event, level=0.3, hidden=3), 20_000
    log_c = model.log_corruption(states, states)
    assert log_c is not None
    torch.testing.assert_close(log_c.exp().sum(0), torch.ones_like(log_c[0]))
    drawn = model.corrupt(states.repeat(num, 1)).reshape(num, 1, *states.shape)
    share = (drawn == states[:, None]).all(-1).double().mean(0)
    p = log_c.exp().double()
    assert ((share - p).abs() < 5 * (p * (1 - p) / num).sqrt()).all()


def test_noise_has_the_density_it_says_in_the_units_of_the_data() -> None:
    model = DAE(Event((2,), "real"), level=0.3, hidden=3).double()
    x = torch.randn(40, 2, dtype=torch.float64) * torch.tensor([2.0, 50.0]) + 7
    model.initialise(x)
    law = torch.distributions.Normal(x[:, None], 0.3 * x.std(0, correction=0))
    found = model.log_corruption(x, x)
    torch.testing.assert_close(found, law.log_prob(x).sum(-1).t(), rtol=0, atol=1e-9)


def test_masking_leaves_zeros_and_ones_apart_and_has_no_bound() -> None:
    model = DAE(Event((3,), "binary"), corruption="masking", level=0.5, hidden=3)
    x = torch.ones(4000, 3)
    x[:, 0] = 0
    share = model.corrupt(x).mean(0)
    assert share[0] == 0
    assert ((share[1:] - 0.5).abs() < 4.5 * 0.5 / 4000**0.5).all()
    assert Denoising(model, OPTIMIZATION).loss(Batch(x, torch.arange(4000)))[1] == {}


def of_gaussian(mean: float, scale: float, level: float) -> DAE:
    """A linear net with the exact posterior of x ~ N(mean, scale^2) given x + noise of level standard deviations."""
    model = DAE(Event((1,), "real"), level=level, depth=0).double()
    model.initialise(torch.tensor([[mean - scale], [mean + scale]], dtype=torch.float64))
    posterior = level / math.sqrt(1 + level**2)
    with torch.no_grad():
        (layer,) = model.network
        layer.weight.copy_(torch.tensor([[1 / (1 + level**2)], [0.0]], dtype=torch.float64))  # type: ignore[operator]
        layer.bias.copy_(torch.tensor([0.0, math.log(posterior - LEAST_SCALE)], dtype=torch.float64))  # type: ignore[operator]
    return model


def test_with_the_posterior_of_a_gaussian_the_chain_has_its_law_and_the_net_its_score() -> None:
    mean, scale, level = 3.0, 2.0, 0.7
    model, noise = of_gaussian(mean, scale, level), scale * level
    x = torch.linspace(-5, 9, 8, dtype=torch.float64).unsqueeze(1)
    law = model.reconstruction(x)
    centre, above = (law.icdf(torch.full_like(x, p)) for p in (0.5, 0.75))
    width = (above - centre) / torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(0.75, dtype=torch.float64))
    slope = (centre[1] - centre[0]) / (x[1] - x[0])
    torch.testing.assert_close(centre[0] + slope * (mean - x[0]), torch.full((1,), mean).double(), rtol=0, atol=1e-8)
    variance = slope**2 * (scale**2 + noise**2) + width**2
    torch.testing.assert_close(variance, torch.full_like(variance, scale**2), rtol=0, atol=1e-8)
    score = (mean - x) / (scale**2 + noise**2)
    torch.testing.assert_close((centre - x) / noise**2, score, rtol=0, atol=1e-8)


def test_its_walk_keeps_the_law_of_a_gaussian() -> None:
    """Mean and variance of 40,000 chains after 5 steps from it: 4.5 standard errors."""
    num = 40_000
    x = of_gaussian(3.0, 2.0, 0.7).walk(3 + 2 * torch.randn(num, 1, dtype=torch.float64), 5)
    assert abs(x.mean() - 3) < 4.5 * 2 / num**0.5
    assert abs(x.var() - 4) < 4.5 * 4 * (2 / num) ** 0.5


PI = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
FOUR = torch.arange(4).unsqueeze(1)


def of_table() -> DAE:
    """A table as a linear net: the exact posterior of a class of law PI given what salt and pepper have left of it."""
    model = DAE(Event((1,), "categorical", 4), level=0.5, depth=0).double()
    log_c = model.log_corruption(FOUR, FOUR)
    assert log_c is not None
    with torch.no_grad():
        (layer,) = model.network
        layer.weight.copy_(log_c.t() + PI.log().unsqueeze(1))  # type: ignore[operator]
        layer.bias.zero_()  # type: ignore[operator]
    return model


@torch.no_grad()
def transition(model: DAE) -> Tensor:
    """p(x' | x) of a step, by its two halves, [x, x']."""
    log_c, law = model.log_corruption(FOUR, FOUR), model.reconstruction(FOUR)
    assert log_c is not None
    return log_c.exp().t() @ torch.stack([law.log_prob(x).exp().squeeze(-1) for x in FOUR], 1)


def test_with_the_posterior_of_a_table_the_stationary_law_is_that_of_the_data() -> None:
    values, vectors = torch.linalg.eig(transition(of_table()).t())
    stationary = vectors[:, values.real.argmax()].real
    torch.testing.assert_close(stationary / stationary.sum(), PI, rtol=0, atol=1e-8)
    assert (values.abs() > 1 - 1e-8).sum() == 1


def test_its_walk_follows_the_transition() -> None:
    """Two steps from every class: 4.5 standard errors of each of 16 frequencies."""
    model, num = of_table(), 20_000
    x = model.walk(FOUR.repeat(num, 1), 2).reshape(num, 4)
    share = torch.stack([torch.bincount(column, minlength=4) for column in x.t()]).double() / num
    p = torch.matrix_power(transition(model), 2)
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / num).sqrt()).all()


def test_a_walk_of_one_step_is_plain_denoising() -> None:
    model = DAE(Event((1, 2, 2), "binary"), hidden=3).double()
    x = bits(torch.arange(16), 4).double().reshape(-1, 1, 2, 2)
    objective, batch = Denoising(model, OPTIMIZATION), Batch(x, torch.arange(16))
    torch.manual_seed(1)
    loss, _ = objective.loss(batch)
    torch.manual_seed(1)
    logits = model.network(model.corrupt(x).flatten(1))
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none").sum(1).mean()
    torch.testing.assert_close(loss, plain, rtol=0, atol=1e-12)
    torch.manual_seed(1)
    torch.testing.assert_close(objective.watched(batch).mean(), plain, rtol=0, atol=1e-12)


def test_walkback_starts_each_step_where_the_last_ended() -> None:
    """A net that always says 1 in no doubt: from the second step on, it sees corruptions of ones alone."""
    model, seen = DAE(Event((2,), "binary"), hidden=3), []
    with torch.no_grad():
        model.network[-1].bias.fill_(50.0)  # type: ignore[operator]
    corrupt = model.corrupt
    model.corrupt = lambda x: (seen.append(x), corrupt(x))[1]  # type: ignore[method-assign,func-returns-value]
    x = torch.zeros(5, 2)
    Denoising(model, OPTIMIZATION, walkback=3).loss(Batch(x, torch.arange(5)))
    assert [float(state.mean()) for state in seen] == [0, 1, 1]


def test_it_claims_no_likelihood_and_teaches_by_samples() -> None:
    """20,000 of them, after 20 steps from equally many of each class: 4.5 standard errors."""
    assert roles(DAE) == (None, MarkovChain)
    teacher, num = Teacher(of_table(), None), 20_000
    assert not teacher.has_density
    data = InMemorySource(FOUR.repeat(num // 4, 1), None, num, seed=0, arrange=lambda x, y, index: Batch(x, index))
    x = teacher.stream(StreamSettings(num_chains=num, burn_in=20), data).draw().x
    share = torch.bincount(x.flatten(), minlength=4).double() / num
    assert ((share - PI).abs() < 4.5 * (PI * (1 - PI) / num).sqrt()).all()


def test_its_walk_knows_no_unit() -> None:
    """The same steps at another origin and scale, to rounding."""
    x, walks = torch.randn(200, 3, dtype=torch.float64), []
    for shift, scale in ((0.0, 1.0), (1000.0, 0.01)):
        torch.manual_seed(1)
        model = DAE(Event((3,), "real"), hidden=4).double()
        model.initialise(shift + scale * x)
        walks.append((model.walk(shift + scale * x, 5) - shift) / scale)
    torch.testing.assert_close(walks[0], walks[1], rtol=0, atol=1e-8)


BINARY, REAL = Event((4,), "binary"), Event((4,), "real")


@pytest.mark.parametrize(
    ("event", "settings", "said"),
    [
        (Event((4,), "counts"), {}, "`dataset` must be binary or real or levels or categorical"),
        (BINARY, {"level": 0.0}, "`model.level` must be above 0 and below 1.0, but is 0.0"),
        (BINARY, {"level": 1.0}, "`model.level` must be above 0 and below 1.0, but is 1.0"),
        (REAL, {"level": -1.0}, "`model.level` must be above 0, but is -1.0"),
        (BINARY, {"corruption": "gaussian"}, "`model.corruption` must be salt_and_pepper or masking for binary data"),
        (REAL, {"corruption": "salt_and_pepper"}, "`model.corruption` must be gaussian or masking for real data"),
        (BINARY, {"corruption": ["masking"]}, "`model.corruption` must be salt_and_pepper or masking"),
        (BINARY, {"hidden": 0}, "`model.hidden` must be a whole number of at least 1, but is 0"),
        (BINARY, {"depth": -1}, "`model.depth` must be a whole number of at least 0, but is -1"),
        (BINARY, {"activation": "none"}, "`model.activation` must be one of tanh, sigmoid"),
    ],
)
def test_refuses(event: Event, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DAE(event, **settings)


def test_refuses_a_walk_of_no_step() -> None:
    with pytest.raises(ValueError, match=r"`objective\.walkback` must be at least 1, but is 0"):
        Denoising(DAE(BINARY, hidden=3), OPTIMIZATION, walkback=0)
