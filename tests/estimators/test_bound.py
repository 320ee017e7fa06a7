"""A model's own bound: the mean of so many draws of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.likelihood.bound import Bound
from dgmrun.protocols.values import Batch, Event, Evidence


class Noisy:
    """Whose bound on -log p is x plus noise of deviation 1, in a batch of at most 500."""

    event = Event((), "real")

    def __init__(self) -> None:
        self.calls: list[int] = []

    def bound(self, batch: Batch) -> Tensor:
        self.calls.append(len(batch.x))
        return batch.x + torch.randn(len(batch.x))


def test_the_figure_is_minus_the_mean_over_draws() -> None:
    model, x = Noisy(), torch.linspace(-1, 1, 1200)
    batch = Batch(x, torch.arange(1200))
    bounds, estimate = Bound(num_samples=16)(model, Evidence(batch, batch))
    assert model.calls == [500, 500, 200] * 16
    off = bounds + x.double()
    assert abs(float(off.mean())) < 4.5 / math.sqrt(16 * 1200)
    assert float(off.std()) == pytest.approx(0.25, rel=4.5 / math.sqrt(2 * 1200))
    assert estimate.value == pytest.approx(float(bounds.mean()))
    assert estimate.standard_error == pytest.approx(float(bounds.std()) / math.sqrt(1200))
    assert (estimate.quantity, estimate.kind, estimate.bias) == ("log_likelihood", "lower_bound", "down")
    half = 3.0062441 * (estimate.standard_error or 0)  # 0.99865 quantile of t with 1,199 degrees of freedom
    assert estimate.interval == (pytest.approx(estimate.value - half), None)
    assert estimate.samples == 16


def test_validation_takes_one_draw() -> None:
    assert Bound(num_samples=7).quick(Noisy()) == Bound(num_samples=1)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`likelihood\.bound\.num_samples` must be at least 1, but is 0"):
        Bound(num_samples=0)
