"""p(x | z) of every family: sums and integrates to 1, and is what its samples follow."""

from __future__ import annotations

import math

import pytest
import torch

from dgmrun.nn.observation import LEAST_SCALE, DiscretisedLogistic, observation
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_a_discretised_logistic_sums_to_one(levels: int) -> None:
    location, scale = torch.tensor([-1.7, -0.3, 0.0, 0.99], dtype=torch.float64), torch.tensor(0.05).double()
    x = torch.arange(levels, dtype=torch.float64)[:, None].expand(-1, 4)
    log_p = DiscretisedLogistic(location, scale, levels).log_prob(x)
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(4, dtype=torch.float64))


def test_its_samples_have_its_frequencies() -> None:
    model, num = DiscretisedLogistic(torch.zeros(1) + 0.2, torch.tensor(0.4), 5), 100_000
    with seeded(3, "logistic"):
        drawn = model.sample((num,))
    p = model.log_prob(torch.arange(5.0)[:, None]).exp().squeeze()
    seen = torch.bincount(drawn.long().squeeze(), minlength=5) / num
    assert ((seen - p).abs() < 4.5 * (p * (1 - p) / num).sqrt()).all()


@pytest.mark.parametrize(
    ("event", "middle", "deviation"),
    [
        (Event((2,), "levels", 256), 100.0, 20.0),
        *((Event((2,), "real"), 5.0, deviation) for deviation in (20.0, 1e-3, 2000.0)),
    ],
)
def test_the_first_scale_gives_the_deviation_of_the_data(event: Event, middle: float, deviation: float) -> None:
    family, num = observation(event, None, "learned"), 100_000
    assert family.raw_scale is not None
    with seeded(6, "scale"):
        x = middle + deviation * torch.randn(num, 2)
        family.raw_scale.data.copy_(family.start_scale(x))
        drawn = family(family.seen(torch.full((num, 2), middle))).sample()
    if deviation < 2 * LEAST_SCALE:
        assert float(drawn.std()) < 5 * LEAST_SCALE
    else:
        assert abs(math.log(float(drawn.std()) / deviation)) < 0.02


def test_a_gaussian_has_its_scale() -> None:
    event, outputs = Event((2,), "real"), torch.tensor([[0.5, -0.5]])
    fixed = observation(event, None, 0.3)(outputs)
    torch.testing.assert_close(fixed.stddev, torch.full((1, 2), 0.3))
    assert observation(event, "gaussian", "learned")(outputs).stddev.requires_grad
    both = observation(event, None, "per_pixel")(torch.tensor([[0.5, -0.5, 2.0, 3.0]]))
    torch.testing.assert_close(both.mean, outputs)
    torch.testing.assert_close(both.stddev, torch.nn.functional.softplus(torch.tensor([[2.0, 3.0]])) + 1e-3)


@pytest.mark.parametrize(
    ("event", "family", "message"),
    [
        (Event((2,), "binary"), "gaussian", "`model.observation` must be bernoulli for binary data, but is gaussian"),
        (Event((2,), "unit"), "bernoulli", "`model.observation` must be gaussian for unit data"),
        (Event((2,), "tokens", 5), None, "`dataset` must be binary or real or unit or levels for a decoder"),
    ],
)
def test_a_family_that_does_not_suit_the_data_is_refused(event: Event, family: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        observation(event, family, None)


@pytest.mark.parametrize("scale", [0.0, -1.0, "wide", True])
def test_a_scale_that_is_none_is_refused(scale: object) -> None:
    with pytest.raises(ValueError, match=r"`model\.scale`"):
        observation(Event((2,), "real"), None, scale)  # type: ignore[arg-type]
