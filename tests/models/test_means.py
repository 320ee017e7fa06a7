"""Means of samples: the probabilities of which binary samples are draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from dgmrun.models import NADE, RBM
from dgmrun.nn.binary import bits
from dgmrun.protocols import Event

EVENT = Event((1, 1, 4), "binary")
NUM = 20000


def test_the_means_of_a_nade_give_its_log_probability() -> None:
    nade = NADE(EVENT, hidden=3, order=[2, 0, 3, 1])
    x = nade.sample(50)
    p = nade.means(x)
    assert torch.allclose(torch.where(x > 0, p, 1 - p).log().sum((1, 2, 3)), nade.log_prob(x), atol=1e-5)


@pytest.mark.parametrize("make", [partial(NADE, hidden=3), partial(RBM, hidden=3, weight_std=1.0)], ids=["nade", "rbm"])
def test_means_of_exact_samples_average_to_the_marginals(make: Callable[..., Any]) -> None:
    model = make(EVENT)
    states = bits(torch.arange(16), 4).float().reshape(-1, 1, 1, 4)
    log_f = (model.log_prob if isinstance(model, NADE) else model.log_unnormalised)(states)
    weight = log_f.detach().softmax(0)
    x = states[torch.multinomial(weight, NUM, replacement=True)]
    p = model.means(x)
    error = (p.std(0) / NUM**0.5).clamp(min=1e-6)
    assert ((p.mean(0) - (weight @ states.flatten(1)).reshape(1, 1, 4)).abs() < 5 * error).all()
