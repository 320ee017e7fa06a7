"""Parzen windows against the Gaussian that they tend to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from dgmrun.estimators.fidelity.parzen import Parzen, log_windows
from dgmrun.models.lapgan import LaplacianPyramid
from dgmrun.nn.pyramid import doubled
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded

UNFIT = ((1.0, 0.1), (0.1,), (1e-200, 1.0), (0.1, math.inf))


@dataclass
class Gaussian:
    """N(0, scale^2)."""

    event: Event
    scale: float = 1.0

    def sample(self, num: int, context: None = None) -> Tensor:
        return self.scale * torch.randn(num, *self.event.shape)


def test_two_windows_are_a_mixture_of_two_gaussians() -> None:
    x, centres = torch.randn(5, 3), torch.randn(2, 3)
    each = torch.stack([Normal(centre, 0.7).log_prob(x).sum(-1) for centre in centres])
    expected = torch.logsumexp(each, 0) - math.log(2)
    torch.testing.assert_close(log_windows(x, centres, [0.7])[0].float(), expected)


def test_many_windows_on_a_gaussian_are_a_wider_gaussian() -> None:
    """N(0, s^2) smoothed by sigma is N(0, s^2 + sigma^2); the mean of a million windows has an error we can state."""
    with seeded(1, "parzen"):
        centres, x = 2 * torch.randn(1_000_000, 1), torch.tensor([[0.0], [1.0], [3.0]])
    expected = Normal(0.0, math.sqrt(4 + 0.25)).log_prob(x).squeeze()
    window = Normal(x, 0.5).log_prob(centres.t()).exp()
    error = window.std(1) / window.mean(1) / math.sqrt(len(centres))
    assert ((log_windows(x, centres, [0.5])[0] - expected).abs() < 4.5 * error).all()


def test_windows_are_the_same_wherever_the_origin_is() -> None:
    with seeded(1, "parzen"):
        x, centres = (torch.randn(num, 4, dtype=torch.float64) for num in (20, 500))
    near, far = (log_windows(x + origin, centres + origin, [0.1]) for origin in (0, 1024))
    torch.testing.assert_close(far, near, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("scale", "sigma"), [(1.0, 0.1), (1.0, 1e-4), (1000.0, 0.1), (1000.0, 1e-3)])
def test_windows_are_the_direct_sum(scale: float, sigma: float) -> None:
    """In 64 dimensions, of examples near and far from centres, relative to the largest exponents."""
    with seeded(1, "parzen"):
        centres = scale * torch.randn(300, 64)
        x = torch.cat((centres[:20] + sigma * torch.randn(20, 64), scale * torch.randn(20, 64)))
    apart = (x.double()[:, None] - centres.double()).square().sum(-1)
    constant = math.log(300) + 64 * math.log(sigma * math.sqrt(2 * math.pi))
    expected = torch.logsumexp(-apart / (2 * sigma**2), 1) - constant
    torch.testing.assert_close(log_windows(x, centres, [sigma])[0], expected, rtol=1e-12, atol=1e-9)


def test_the_bandwidth_is_chosen_on_validation_and_the_figure_is_marked() -> None:
    event = Event((2,), "real")
    with seeded(1, "parzen"):
        valid, x = torch.randn(500, 2), torch.randn(400, 2)
        evidence = Evidence(Batch(x, torch.arange(400)), Batch(valid, torch.arange(500)))
        log_p, estimate = Parzen(num_samples=2000)(Gaussian(event), evidence)
    assert 0.1 < (estimate.diagnostics["bandwidth"] or 0) < 0.7
    sigma = estimate.diagnostics["bandwidth"] or 0
    smoothed = Normal(0.0, math.sqrt(1 + sigma**2)).log_prob(x).sum(-1)
    assert abs(float(log_p.mean() - smoothed.mean())) < 4.5 * float((log_p - smoothed).std()) / math.sqrt(400) + 0.05
    assert estimate.interval is None
    assert "unreliable" in estimate.warnings[0]
    assert len(estimate.warnings) == 1


class GaussianPyramid(LaplacianPyramid):
    """Pictures of 2 x 2 pixels, each of N(0, s^2): means are of N(0, s^2 / 4), and details of N(0, s^2)."""

    s = 0.8

    def stages(self) -> list[Any]:
        """Of means, and of details."""
        first, second = super().stages()
        first.sample = lambda num: self.s / 2 * torch.randn(num, 1, 1, 1)  # type: ignore[method-assign]
        second.sample = lambda num, context: self.s * torch.randn(num, 3, 1, 1)  # type: ignore[method-assign]
        return [first, second]


def test_windows_of_stages_are_a_density_of_pixels() -> None:
    """Windows of S samples of N(0, v) are N(0, v + sigma^2), with a log of variance (E w^2 / (E w)^2 - 1) / S."""
    model, sigma, num, given = GaussianPyramid(Event((1, 2, 2), "real"), hidden=2, maps=2), 0.6, 40_000, 4000
    with seeded(1, "parzen"):
        x = model.s * torch.randn(100, 1, 2, 2)
        evidence = Evidence(Batch(x, torch.arange(100)), Batch(x[:2], torch.arange(2)))
        log_p, estimate = Parzen(num, (sigma, sigma), num_given=given)(model, evidence)
    expected, variance = torch.zeros(100), torch.zeros(100)
    for part, v, samples in zip(model.staged(evidence.batch), (model.s**2 / 4, model.s**2), (num, given), strict=True):
        smooth, double = (
            Normal(0.0, math.sqrt(v + each)).log_prob(part.x).sum((1, 2, 3)) for each in (sigma**2, sigma**2 / 2)
        )
        peak = part.x[0].numel() * math.log(2 * math.sqrt(math.pi) * sigma)
        expected += smooth
        variance += torch.expm1(double - peak - 2 * smooth) / samples
    assert ((log_p - expected - model.log_volume()).abs() < 5 * variance.sqrt()).all()
    assert variance.sqrt().max() < 0.2
    assert estimate.value == pytest.approx(float(log_p.mean()))
    assert estimate.diagnostics["bandwidth_0"] == estimate.diagnostics["bandwidth_1"] == pytest.approx(sigma)
    of_stages = (estimate.diagnostics["log_p_0"] or 0) + (estimate.diagnostics["log_p_1"] or 0)
    assert of_stages + model.log_volume() == pytest.approx(estimate.value)
    assert len(estimate.warnings) == 1, "no other bandwidth was asked for"


class Dependent(GaussianPyramid):
    """Details are of N(m, s^2) in each unit, with the coarser pixel, its half and its double as means m."""

    slopes = torch.tensor([1.0, 0.5, 2.0])[:, None, None]

    def stages(self) -> list[Any]:
        """Of means, and of details given them."""
        first, second = super().stages()
        second.sample = lambda num, context: self.slopes * context + self.s * torch.randn(num, 3, 1, 1)
        return [first, second]


def test_windows_of_a_stage_are_of_samples_given_what_the_example_has() -> None:
    """Windows of N(m, s^2) are N(m, s^2 + sigma^2); their logarithm is low by half the relative variance of 2,000."""
    model, sigma = Dependent(Event((1, 2, 2), "real"), hidden=2, maps=2), 0.6
    coarse, noise = torch.randn(2, 200, 1, 1, 1)
    x = doubled(coarse, model.slopes * coarse + model.s * noise.expand(200, 3, 1, 1))
    with seeded(1, "parzen"):
        mine = Evidence(Batch(x, torch.arange(200)), Batch(x[:9], torch.arange(9)))
        _, estimate = Parzen(500, (sigma, sigma), num_given=2000)(model, mine)
    details = model.staged(mine.batch)[1]
    exact = Normal(model.slopes * details.context, math.sqrt(model.s**2 + sigma**2)).log_prob(details.x)
    assert estimate.diagnostics["log_p_1"] == pytest.approx(float(exact.sum((1, 2, 3)).mean()), abs=0.02)
    assert estimate.samples == 500


def test_each_stage_has_the_bandwidth_of_its_own_and_is_named_where_that_is_at_an_end() -> None:
    """Windows of N(0, v) explain N(0, w) best by the variance w - v: of means and details, 0.2^2 and 0.6^2 here."""
    model, sigmas = GaussianPyramid(Event((1, 2, 2), "real"), hidden=2, maps=2), (0.2, 0.6)
    means, details = (
        math.sqrt(v + sigma**2) * torch.randn(4000, num, 1, 1)
        for v, sigma, num in zip((model.s**2 / 4, model.s**2), sigmas, (1, 3), strict=True)
    )
    batch = Batch(doubled(means, details), torch.arange(4000))
    with seeded(1, "parzen"):
        small = Evidence(batch.rows(slice(2)), batch)
        _, estimate = Parzen(4000, (0.08, 0.9), 4000, num_given=400)(model, small)
        _, narrow = Parzen(4000, (0.02, 0.4), 1000, num_given=400)(model, small)
    for stage, sigma in enumerate(sigmas):
        assert estimate.diagnostics[f"bandwidth_{stage}"] == pytest.approx(sigma, rel=0.35)
    assert (estimate.samples, len(estimate.warnings)) == (400, 1)
    assert narrow.warnings[1:] == [
        "the best bandwidth of stage 1 (0 is the first, and coarsest) is the last that was tried: "
        "widen `fidelity.parzen.bandwidths`"
    ]


def test_binary_data_have_no_density() -> None:
    with pytest.raises(ValueError, match="parzen for binary data"):
        Parzen().check(Gaussian(Event((2,), "binary")))


def test_a_bandwidth_is_not_selected_on_nothing() -> None:
    batch = Batch(torch.randn(4, 2), torch.arange(4))
    with pytest.raises(ValueError, match=r"`fidelity.examples` must leave validation examples"):
        Parzen(10)(Gaussian(Event((2,), "real")), Evidence(batch, batch.rows(slice(0))))


@pytest.mark.parametrize(
    "settings", [{"num_samples": 0}, {"num_valid": 0}, {"num_given": 0}, *({"bandwidths": each} for each in UNFIT)]
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"`fidelity\.parzen"):
        Parzen(**settings)  # type: ignore[arg-type]
