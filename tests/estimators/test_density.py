"""Log-likelihood with two sources of error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.density import NORMALISED, less, log_density, log_likelihood
from dgmrun.estimators.likelihood.closed_form import ClosedForm
from dgmrun.estimators.likelihood.exact import Exact
from dgmrun.estimators.likelihood.reverse_ais import upper_bound
from dgmrun.estimators.marginal import lower_bound
from dgmrun.models.deep_nade import DeepNADE
from dgmrun.models.gaussian import Gaussian
from dgmrun.models.ising import Ising
from dgmrun.models.linear_vae import LinearVAE
from dgmrun.models.made import MADE
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Batch, Estimate, Event, Evidence
from dgmrun.report.text import line
from dgmrun.run.figures import Figure, Identity
from tests.figure import identity

BITS = Event((4,), "binary")
LOG_F = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
T3 = 9.2187018
"""0.99865 quantile of Student's t with 3 degrees of freedom, the root of its distribution function in closed form."""


def test_errors_of_examples_and_log_z_combine() -> None:
    log_z = Estimate("log_z", 10.0, 0.4, (9.0, 11.5), kind="estimate", bias="down", samples=100)
    estimate = log_likelihood(LOG_F, log_z)
    examples = float(LOG_F.std()) / 2
    assert estimate.value == pytest.approx(-7.5)
    assert estimate.standard_error == pytest.approx(math.hypot(examples, 0.4))
    assert estimate.interval == pytest.approx(
        (-7.5 - math.hypot(T3 * examples, 1.5), -7.5 + math.hypot(T3 * examples, 1.0))
    )
    assert (estimate.kind, estimate.bias) == ("estimate", "up")
    assert (estimate.diagnostics["standard_error_log_z"], estimate.diagnostics["half_width_log_z"]) == (0.4, 1.5)


MEANS: dict[str, tuple[float, Callable[[Tensor], Estimate]]] = {
    "density": (0.0027, lambda values: log_likelihood(values, NORMALISED)),
    "lower_bound": (0.00135, lambda values: lower_bound(values, {})),
    "upper_bound": (0.00135, lambda values: upper_bound(values, values, {"num_chains": 1})),
}


def misses(mean: Callable[[Tensor], Estimate], num: int, times: int) -> int:
    """How many of `times` intervals of means of `num` standard normal values leave their expectation 0 out."""
    ends = [mean(values).interval or (0.0, 0.0) for values in torch.randn(times, num, dtype=torch.float64)]
    return sum(not (low or -math.inf) <= 0 <= (high or math.inf) for low, high in ends)


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("num", [2, 5, 10, 100])
def test_intervals_of_few_values_cover_as_often_as_those_of_many(name: str, num: int) -> None:
    """2,000 repetitions: 5.4 or 2.7 misses expected, at most 17 or 12 with a chance of 1 - 3e-5; without t, 400."""
    share, mean = MEANS[name]
    assert misses(mean, num, 2000) <= (17 if share > 0.002 else 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("num", [2, 5, 10, 100])
def test_their_coverage_is_the_one_stated(name: str, num: int) -> None:
    share, mean = MEANS[name]
    missed = misses(mean, num, 100_000) / 100_000
    print(f"\n| {name} | {num} | {1 - missed:.2%} |", end="")
    assert abs(missed - share) < 4.5 * math.sqrt(share / 100_000)


@pytest.mark.parametrize(
    ("kind", "bias", "expected"),
    [("exact", "none", ("exact", "none")), ("upper_bound", "up", ("lower_bound", "down"))],
)
def test_kind_follows_from_log_z(kind: str, bias: str, expected: tuple[str, str]) -> None:
    estimate = log_likelihood(LOG_F, Estimate("log_z", 0.0, 0.0, (0.0, 0.0), kind=kind, bias=bias))
    assert (estimate.kind, estimate.bias) == expected


def test_a_closed_form_is_as_precise_as_it_says() -> None:
    """N(0, W W' + sigma^2 I) of 64 dimensions, 10 latent units and sigma = 0.001, by the eigenvalues of W' W."""
    vae = LinearVAE(Event((64,), "real"), latent=10).requires_grad_(False)
    vae.log_scale.fill_(math.log(0.001))
    x = vae.sample(50)
    w, s = vae.weight.double(), float(vae.log_scale.double().exp())
    strength, axes = torch.linalg.eigh(w @ w.t())
    variance = strength.clamp(min=0) + s**2
    expected = -0.5 * ((x.double() @ axes).square() / variance + (2 * math.pi * variance).log()).sum(1)
    batch = Batch(x, torch.arange(50))
    log_p, estimate = ClosedForm()(vae, Evidence(batch, batch))
    torch.testing.assert_close(log_p, expected, rtol=0, atol=1e-5)
    assert estimate.value == pytest.approx(float(expected.mean()), abs=1e-5)


def test_densities_are_computed_in_double_precision() -> None:
    """Of numbers far from 0, against sums in double precision; the model itself stays as it is."""
    gaussian = Gaussian(Event((3,), "real")).requires_grad_(False)
    x = 1000 + torch.randn(20, 3)
    gaussian.log_scale.fill_(-5.0)
    apart = (x.double() - gaussian.mean.double()).square().sum(1)
    expected = -apart / (2 * math.exp(-10.0)) + 15 - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(log_density(gaussian, Batch(x, torch.arange(20))), expected, rtol=1e-14, atol=0)
    assert gaussian.mean.dtype == torch.float32


@pytest.mark.parametrize("model", [RBM(Event((9,), "binary"), 9, 2.0), Ising(Event((9,), "binary"), "complete", 2.0)])
def test_masses_of_enumeration_and_densities_are_of_one_precision(model: Any) -> None:
    states = (torch.arange(512)[:, None] >> torch.arange(9) & 1).float()
    log_f = log_density(model, Batch(states, torch.arange(512)))
    log_z = model.log_masses(torch.arange(512)).logsumexp(0)
    assert float((log_f - log_z).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_a_whole_population_has_no_sampling_error() -> None:
    log_z = Estimate("log_z", 10.0, 0.4, (9.0, 11.5), kind="estimate", bias="down")
    estimate = log_likelihood(LOG_F, log_z, population=4)
    assert (estimate.standard_error, estimate.interval) == (pytest.approx(0.4), pytest.approx((-9.0, -6.5)))
    exact = log_likelihood(LOG_F[:1], NORMALISED, population=1)
    assert (exact.standard_error, exact.interval, exact.warnings) == (0.0, (1.0, 1.0), [])


def test_examples_from_a_population_err_as_they_say() -> None:
    """20 of 30 values, each at most once: the mean over 2,000 repetitions of SE^2 is the variance of the means."""
    values = torch.randn(30, dtype=torch.float64)
    found = [log_likelihood(values[torch.randperm(30)[:20]], NORMALISED, population=30) for _ in range(2000)]
    means = torch.tensor([each.value for each in found])
    claimed = sum((each.standard_error or 0) ** 2 for each in found) / 2000
    assert claimed == pytest.approx(float(means.var()), rel=4.5 * math.sqrt(2 / 2000))


def test_no_interval_without_one_of_log_z() -> None:
    assert log_likelihood(LOG_F, Estimate("log_z", 0.0, 9.0, None, kind="estimate", bias="down")).interval is None


def of_f(kind: Any = "lower_bound", bias: Any = "down", interval: Any = (-4.0, None)) -> Estimate:
    return Estimate("log_likelihood", -3.0, 0.3, interval, kind, bias, samples=7, settings={"a": 1}, warnings=["f"])


def of_z(kind: Any = "exact", bias: Any = "none", interval: Any = (9.5, 11.0)) -> Estimate:
    return Estimate("log_z", 10.0, 0.4, interval, kind, bias, samples=9, settings={"b": 2}, warnings=["z"])


@pytest.mark.parametrize(
    ("f", "z", "expected"),
    [
        (("exact", "none"), ("exact", "none"), ("exact", "none")),
        (("exact", "none"), ("upper_bound", "up"), ("lower_bound", "down")),
        (("exact", "none"), ("lower_bound", "down"), ("upper_bound", "up")),
        (("exact", "none"), ("estimate", "down"), ("estimate", "up")),
        (("lower_bound", "down"), ("exact", "none"), ("lower_bound", "down")),
        (("lower_bound", "down"), ("upper_bound", "up"), ("lower_bound", "down")),
        (("lower_bound", "down"), ("lower_bound", "down"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "down"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "up"), ("estimate", "down")),
        (("upper_bound", "up"), ("estimate", "down"), ("estimate", "up")),
        (("upper_bound", "up"), ("lower_bound", "down"), ("upper_bound", "up")),
        (("estimate", "unknown"), ("exact", "none"), ("estimate", "unknown")),
        (("lower_bound", "down"), ("estimate", "unknown"), ("estimate", "unknown")),
    ],
)
def test_less_is_a_bound_only_where_both_err_on_one_side(
    f: tuple[str, str], z: tuple[str, str], expected: tuple[str, str]
) -> None:
    estimate = less(of_f(*f), of_z(*z))
    assert (estimate.kind, estimate.bias) == expected


def widest(interval: Any) -> dict[str, float | None]:
    """The larger half-width of an interval about 10."""
    widths = [abs(end - 10) for end in interval or () if end is not None]
    return {"half_width_log_z": max(widths) if widths else None}


@pytest.mark.parametrize(
    ("f", "z", "expected"),
    [
        ((-4.0, -1.0), (9.5, 11.0), (-13 - math.hypot(1, 1), -13 + math.hypot(2, 0.5))),
        ((-4.0, None), (9.5, 11.0), (-13 - math.hypot(1, 1), None)),
        ((-4.0, None), (9.5, None), (None, None)),
        ((None, -1.0), (9.5, None), (None, -13 + math.hypot(2, 0.5))),
        ((-3.0, -3.0), (10.0, 10.0), (-13.0, -13.0)),
        (None, (9.5, 11.0), None),
        ((-4.0, -1.0), None, None),
    ],
)
def test_each_side_of_less_is_made_of_one_side_of_both(f: Any, z: Any, expected: Any) -> None:
    estimate = less(of_f(interval=f), of_z(interval=z))
    assert estimate.value == pytest.approx(-13)
    assert estimate.standard_error == pytest.approx(0.5)
    assert estimate.interval == (expected if expected is None else pytest.approx(expected))
    assert estimate.settings == {"a": 1, "log_z": {"b": 2}}
    assert estimate.warnings == ["f", "z"]
    told = {"log_z": 10.0, "standard_error_log_z": 0.4, "samples_log_z": 9}
    assert (estimate.samples, estimate.diagnostics) == (7, told | widest(z))


def test_less_has_no_error_where_one_of_both_has_none() -> None:
    assert less(replace(of_f(), standard_error=None), of_z()).standard_error is None
    assert less(of_f(), replace(of_z(), standard_error=None)).standard_error is None


@pytest.mark.parametrize("model", [DeepNADE(BITS, [3], orders=3), MADE(BITS, [3], masks=3)], ids=["orders", "masks"])
def test_a_likelihood_that_is_a_mean_over_orders_says_so(model: DeepNADE | MADE) -> None:
    batch = Batch(model.sample(10), torch.arange(10))
    _, estimate = Exact()(model, Evidence(batch, batch))
    figure = Figure.made(estimate, of=Identity(**identity("0" * 64)), seconds=0.0, split="test", examples=10)
    assert "exact, of the mean over 3 orders; test, 10 examples" in line("likelihood", "exact", figure)
    alone = replace(figure, diagnostics=estimate.diagnostics | {"orders": 1})
    assert "orders" not in line("likelihood", "exact", alone)
