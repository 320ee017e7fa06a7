"""The divergence of shifted Gaussians by a classifier, against what it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.estimators.fidelity.ratio import LOSSES, Ratio, _calibration
from dgmrun.protocols.values import Batch, Event, Evidence


class Shifted:
    """N(shift, 1)."""

    event = Event((1,), "real")

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def sample(self, num: int, context: None = None) -> Tensor:
        """[num, 1]."""
        return torch.randn(num, 1) + self.shift


def scored(x: Tensor) -> Evidence:
    batch = Batch(x, torch.arange(len(x)))
    return Evidence(batch, batch)


@pytest.mark.parametrize(("shift", "jsd"), [(0.0, 0.0), (1.0, 0.111421482), (3.0, 0.526777307)])
def test_the_bound_is_near_the_divergence_and_not_above_it(shift: float, jsd: float) -> None:
    x = torch.randn(4000, 1)
    log_ratio, estimate = Ratio()(Shifted(shift), scored(x))
    assert estimate.standard_error is not None
    assert (estimate.quantity, estimate.kind) == ("jsd", "lower_bound")
    assert estimate.value < jsd + 4 * estimate.standard_error
    assert estimate.value > jsd - 4 * estimate.standard_error - 0.01  # what trees of 4,000 rows has not learnt
    truth = -shift * x[:, 0] + shift**2 / 2
    assert (log_ratio - truth).abs()[truth.abs() < 3].median() < 0.5
    assert estimate.diagnostics["log_loss"] == pytest.approx(math.log(2) - estimate.value)
    assert 0 <= (estimate.diagnostics["calibration"] or 0) < 0.1


def repeated(method: Ratio, shift: float, num: int, times: int) -> tuple[Tensor, Tensor]:
    """Bounds and their standard errors over draws of the examples and the samples, each [times]."""
    found = [method(Shifted(shift), scored(torch.randn(num, 1)))[1] for _ in range(times)]
    return tuple(torch.tensor([getattr(one, key) for one in found]) for key in ("value", "standard_error"))  # type: ignore[return-value]


def test_the_standard_error_holds_the_training_of_the_classifiers() -> None:
    """p = q, 60 repetitions: the spread of 60 values is off by 9 %; that of the losses alone is two thirds of it."""
    values, errors = repeated(Ratio(trees=10), 0.0, 200, 60)
    assert float(values.std()) < float(errors.square().mean().sqrt()) * (1 + 4 / math.sqrt(2 * 60))


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("shift", "num"), [(0.0, 400), (0.0, 2000), (1.0, 400), (3.0, 400)])
def test_errors_are_as_large_as_they_say(shift: float, num: int, loss: str) -> None:
    values, errors = repeated(Ratio(loss=loss), shift, num, 200)
    spread, claimed = float(values.std()), float(errors.square().mean().sqrt())
    near = float(((values - values.mean()).abs() < errors).float().mean())
    within = float(((values - values.mean()).abs() < 3 * errors).float().mean())
    print(f"\n| {loss} | {shift} | {num} | {spread:.4f} | {claimed:.4f} | {near:.1%} | {within:.1%} |", end="")
    assert spread < claimed * (1 + 4 / math.sqrt(2 * 200))
    assert within > 0.97


def le_cam(shift: float) -> float:
    """1/2 int (p - q)^2 / (p + q) of N(0, 1) and N(shift, 1), by quadrature."""
    x = torch.linspace(-10, 10 + shift, 20_001, dtype=torch.float64)
    p, q = (torch.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (0.0, shift))
    return 0.5 * float(torch.trapezoid((p - q).square() / (p + q), x))


DIVERGENCES = {
    "log": ("jsd", lambda shift: {1.0: 0.111421482, 3.0: 0.526777307}[shift]),
    "brier": ("le_cam", le_cam),
    "exponential": ("squared_hellinger", lambda shift: 1 - math.exp(-(shift**2) / 8)),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_log_density_ratio_makes_every_bound_its_divergence(loss: str, shift: float) -> None:
    quantity, divergence = DIVERGENCES[loss]
    x, sample = torch.randn(2, 200_000, dtype=torch.float64) + torch.tensor([[0.0], [shift]])
    f = torch.stack([-shift * each + shift**2 / 2 for each in (x, sample)])
    estimate = Ratio(loss=loss)._estimate(f)
    assert estimate.standard_error is not None
    assert estimate.value == pytest.approx(divergence(shift), abs=4 * estimate.standard_error)
    assert (estimate.quantity, estimate.standard_error < 0.005) == (quantity, True)
    assert Ratio(loss=loss)._estimate(0 * f).value == pytest.approx(0.0)
    assert Ratio(loss=loss)._estimate(0.6 * f).value < divergence(shift)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_overlap_that_no_example_shows_is_within_the_interval(loss: str) -> None:
    share = 0.015
    x = torch.rand(100, 2)

    class Elsewhere(Shifted):
        def sample(self, num: int, context: None = None) -> Tensor:
            return torch.rand(num, 2) - 2 * (torch.rand(num, 1) > share)

    # p is 1 and q is `share` on the unit square: p + q = 1 + share there, and q is alone elsewhere
    truth = {
        "log": math.log(2) + 0.5 * (math.log(1 / (1 + share)) + share * math.log(share / (1 + share))),
        "brier": 0.5 * ((1 - share) ** 2 / (1 + share) + 1 - share),
        "exponential": 1 - math.sqrt(share),
    }[loss]
    ends = [Ratio(trees=30, loss=loss)(Elsewhere(0.0), scored(x))[1].interval for _ in range(20)]
    false = sum(low > truth for low, _ in ends)  # type: ignore[misc]
    assert false <= 2  # of 20, each with a chance of 0.0015: more with one of 4e-6


def test_grey_levels_are_told_apart_only_where_they_differ() -> None:
    x = torch.rand(400, 3)

    class Near(Shifted):
        event = Event((3,), "unit")

        def sample(self, num: int, context: None = None) -> Tensor:
            return (x > 0.5).float() + 0.3 * (0.5 - torch.rand(num, 3))

    rounded, fine = (Ratio(levels=levels)(Near(0.0), scored((x > 0.5).float()))[1].value for levels in (2, 0))
    assert rounded == pytest.approx(0.0, abs=0.02)
    assert fine > 0.5


def test_forecasts_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    odds = 2 * torch.randn(20_000, dtype=torch.float64)
    is_example = torch.rand_like(odds) < torch.sigmoid(odds)
    num = min(int(is_example.sum()), int((~is_example).sum()))
    f = torch.stack((odds[is_example][:num], odds[~is_example][:num]))
    assert _calibration(f) < 0.03  # bins of 2,000: mean distance 0.4 / 45, and as much for equal numbers
    assert _calibration(5 * f) > 0.1


def test_settings_that_make_no_classifier_are_named() -> None:
    with pytest.raises(ValueError, match=r"`fidelity\.ratio\.trees`"):
        Ratio(trees=0)
    with pytest.raises(ValueError, match=r"`fidelity\.ratio\.loss`"):
        Ratio(loss="hinge")
    with pytest.raises(ValueError, match=r"`fidelity\.ratio\.levels` must be 0 or"):
        Ratio(levels=1)
    with pytest.raises(ValueError, match=r"`fidelity\.ratio\.levels` must be 0 or"):
        Ratio(levels=10**22)
    with pytest.raises(ValueError, match=r"`fidelity\.ratio\.levels` must be 0 for real"):
        Ratio(levels=256).check(Shifted(0.0))
    with pytest.raises(Mistake, match=r"`fidelity\.examples` must be at least 100"):
        Ratio()(Shifted(0.0), scored(torch.randn(90, 1)))
