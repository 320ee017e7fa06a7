"""The round Gaussian against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from dgmrun.models.gaussian import Gaussian
from dgmrun.protocols.values import Event


def test_density_and_samples_are_those_of_a_round_gaussian() -> None:
    model = Gaussian(Event((2, 3), "real")).double()
    with torch.no_grad():
        model.mean.copy_(torch.arange(6.0).reshape(2, 3))
        model.log_scale.fill_(math.log(0.5))
    x = model.sample(20_000)
    of_it = MultivariateNormal(torch.arange(6.0, dtype=torch.float64), 0.25 * torch.eye(6, dtype=torch.float64))
    assert torch.allclose(model.log_prob(x), of_it.log_prob(x.flatten(1)))
    nats = -model.log_prob(x).detach()
    assert float(nats.mean()) == pytest.approx(float(of_it.entropy()), abs=4 * float(nats.std()) / math.sqrt(len(x)))


def test_data_that_are_not_real_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`dataset` must be real"):
        Gaussian(Event((4,), "binary"))
