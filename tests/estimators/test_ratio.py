"""The divergence of shifted Gaussians by a classifier, against what it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.estimators.ratio import Ratio, _calibration
from dgmrun.protocols import Event


class Shifted:
    """N(shift, 1)."""

    event = Event((1,), "real")

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def sample(self, num: int, context: None = None) -> Tensor:
        """[num, 1]."""
        return torch.randn(num, 1) + self.shift


@pytest.mark.parametrize(("shift", "jsd"), [(0.0, 0.0), (1.0, 0.111421482), (3.0, 0.526777307)])
def test_the_bound_is_near_the_divergence_and_not_above_it(shift: float, jsd: float) -> None:
    x = torch.randn(4000, 1)
    log_ratio, estimate = Ratio()(Shifted(shift), x, x)
    assert estimate.standard_error is not None
    assert (estimate.quantity, estimate.kind) == ("jsd", "lower_bound")
    assert estimate.value < jsd + 4 * estimate.standard_error
    assert estimate.value > jsd - 4 * estimate.standard_error - 0.01  # what trees of 4,000 rows has not learnt
    truth = -shift * x[:, 0] + shift**2 / 2
    assert (log_ratio - truth).abs()[truth.abs() < 3].median() < 0.5
    assert estimate.diagnostics["log_loss"] == pytest.approx(math.log(2) - estimate.value)
    assert 0 <= (estimate.diagnostics["calibration"] or 0) < 0.1


def test_forecasts_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    odds = 2 * torch.randn(20_000, dtype=torch.float64)
    is_example = torch.rand_like(odds) < torch.sigmoid(odds)
    num = min(int(is_example.sum()), int((~is_example).sum()))
    f = torch.stack((odds[is_example][:num], odds[~is_example][:num]))
    assert _calibration(f) < 0.03  # bins of 2,000: mean distance 0.4 / 45, and as much for equal numbers
    assert _calibration(5 * f) > 0.1


def test_settings_that_make_no_classifier_are_named() -> None:
    with pytest.raises(ValueError, match=r"`likelihood\.ratio\.trees`"):
        Ratio(trees=0)
    with pytest.raises(Mistake, match=r"`likelihood\.examples` must be at least 40"):
        Ratio()(Shifted(0.0), torch.randn(20, 1), torch.randn(20, 1))
