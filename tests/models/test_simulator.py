"""Simulators against what is known of them, how their posteriors are measured, and what a learned one comes to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Gamma,
    HalfNormal,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    Uniform,
)

from dgmrun import load
from dgmrun.estimators.fidelity.posterior_kl import PosteriorKL, divergence
from dgmrun.models.simulator import Simulator
from dgmrun.nn.conjugate_gaussian import ConjugateGaussian
from dgmrun.nn.lotka_volterra import LotkaVolterra
from dgmrun.protocols.values import Batch, Event, Evidence

Command = Callable[..., int]


def test_the_posterior_of_the_conjugate_model_is_what_is_left_of_the_joint_density() -> None:
    """log p(z) + log p(x | z) - log p(z | x) is log p(x), whatever z."""
    simulator = ConjugateGaussian([[1.0, 0.5], [0.0, 1.0], [0.5, -0.5]], noise=0.7)
    a, eye = simulator.matrix, torch.eye(3, dtype=torch.float64)
    z = torch.randn(6, 2, dtype=torch.float64)
    x = simulator(z)[:1].expand(6, 3)
    log_joint = MultivariateNormal(torch.zeros(2, dtype=torch.float64), eye[:2, :2]).log_prob(z)
    log_joint = log_joint + MultivariateNormal(z @ a.t(), 0.49 * eye).log_prob(x)
    log_x = MultivariateNormal(torch.zeros(3, dtype=torch.float64), a @ a.t() + 0.49 * eye).log_prob(x)
    assert torch.allclose(log_joint - simulator.posterior(x).log_prob(z), log_x)


def test_species_that_do_not_meet_grow_and_die_as_the_scheme_has_it() -> None:
    """Mean and variance follow m' = (1 + r h) m and v' = (1 + r h)^2 v + |r| h m, exactly but for TINY^2 a step."""
    steps, interval, num = 40, 0.1, 20_000
    simulator = LotkaVolterra((0.2, 1e-12, 0.3), start=(100, 100), time=4.0, steps=steps, points=4)
    series = simulator.series(torch.zeros(num, 3, dtype=torch.float64))
    for species, rate in ((0, 0.2), (1, -0.3)):
        mean, variance = 100.0, 0.0
        for _ in range(steps):
            mean, variance = (
                (1 + rate * interval) * mean,
                (1 + rate * interval) ** 2 * variance + abs(rate) * interval * mean,
            )
        last = series[:, species, -1]
        assert abs(float(last.mean()) - mean) < 4 * math.sqrt(variance / num)
        assert float(last.var()) / variance == pytest.approx(1, abs=4 * math.sqrt(2.2 / num))


def test_a_step_of_predators_and_prey_has_the_moments_of_its_three_reactions() -> None:
    """X, Y = 100, 90 and h = 0.1: births 2, meals 9, deaths 3 in the mean, as in their variance; meals are shared."""
    num, births, meals, deaths = 40_000, 2.0, 9.0, 3.0
    simulator = LotkaVolterra((0.2, 0.01, 1 / 3), start=(100, 90), time=0.4, steps=4, points=4)
    first = simulator.series(torch.zeros(num, 3, dtype=torch.float64))[:, :, 0]
    mean = torch.tensor([100 + births - meals, 90 + meals - deaths], dtype=torch.float64)
    covariance = torch.tensor([[births + meals, -meals], [-meals, meals + deaths]], dtype=torch.float64)
    variance = covariance.diagonal()
    assert ((first.mean(0) - mean).abs() < 4 * (variance / num).sqrt()).all()
    error = ((torch.outer(variance, variance) + covariance.square()) / num).sqrt()
    assert ((first.T.cov() - covariance).abs() < 4 * error).all()
    assert error.max() < 0.1, "a factor of 0.9 is seen"


def test_what_has_died_out_stays_so() -> None:
    series = LotkaVolterra(start=(3, 3), observed="series").series(torch.zeros(2000, 3, dtype=torch.float64))
    gone = series == 0
    assert 0.1 < float(gone[..., -1].double().mean()) < 1
    assert not (gone[..., :-1] & ~gone[..., 1:]).any()


def test_what_is_observed_of_predators_and_prey_is_finite_and_told_by_its_shape() -> None:
    z = 2 * torch.randn(500, 3)
    summaries, series = LotkaVolterra()(z), LotkaVolterra(observed="series", points=10)(z)
    assert (summaries.shape, series.shape) == ((500, 9), (500, 2, 10))
    assert summaries.isfinite().all()
    assert series.isfinite().all()
    with pytest.raises(ValueError, match=r"`simulate\.points` must be at least 4 and divide 150 steps"):
        LotkaVolterra(points=7)


def standard(num: int, units: int) -> MultivariateNormal:
    return MultivariateNormal(torch.zeros(num, units, dtype=torch.float64), torch.eye(units, dtype=torch.float64))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.0), (0.8, 1.0)])
def test_a_divergence_from_samples_is_that_of_gaussians(scale: float, shift: float) -> None:
    found, *_ = divergence(scale * torch.randn(300, 100, 2, dtype=torch.float64) + shift, standard(100, 2))
    exact = 2 * (-math.log(scale) + (scale**2 + shift**2 - 1) / 2)
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / math.sqrt(100)
    assert float(found.std()) < 0.3, "a factor of 0.9 is seen"


def test_a_divergence_from_samples_sees_that_a_density_is_not_gaussian() -> None:
    """Uniform on [-s, s] with s^2 = 3, of mean 0 and variance 1: log sqrt(2 pi e) - log 2s = 0.176 nats."""
    u = math.sqrt(3) * (2 * torch.rand(800, 50, 1, dtype=torch.float64) - 1)
    found, *_ = divergence(u, standard(50, 1))
    exact = math.log(2 * math.pi * math.e) / 2 - math.log(2 * math.sqrt(3))
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / math.sqrt(50) + 0.01, "edges are blurred"


def test_a_narrow_posterior_far_off_is_as_far_as_it_is() -> None:
    """Of width s = 1e-4 at 1000 deviations: -2 log s + (1000^2 + 2 s^2 - 2) / 2 nats, with an error of 0.01."""
    s, mean = 1e-4, torch.tensor([600.0, 800.0], dtype=torch.float64)
    found, is_point, _ = divergence(mean + s * torch.randn(500, 40, 2, dtype=torch.float64), standard(40, 2))
    exact, error = -2 * math.log(s) + (1e6 + 2 * s**2 - 2) / 2, float(found.std()) / math.sqrt(40)
    assert abs(float(found.mean()) - exact) < 4 * error < 0.08
    assert not is_point.any()


def test_a_point_is_told_as_one_wherever_it_is() -> None:
    points = torch.linspace(20, 400, 20, dtype=torch.float64)[:, None].expand(100, 20, 2) / math.sqrt(2)
    assert divergence(points, standard(20, 2)).is_point.all()


@pytest.mark.parametrize("is_event", [True, False])
def test_the_exact_posterior_may_be_any_distribution(is_event: bool) -> None:
    """KL of Gamma(3, 1) from Gamma(2, 1), both of unit rate, is digamma(3) - log 2, for each of two units."""
    p: Distribution = Gamma(torch.full((60, 2), 2.0), torch.ones(60, 2))
    found, *_ = divergence(Gamma(3.0, 1.0).sample((400, 60, 2)), Independent(p, 1) if is_event else p)
    exact = 2 * (float(torch.digamma(torch.tensor(3.0))) - math.log(2))
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / math.sqrt(60) + 0.02, "edges are blurred"


def test_a_posterior_of_few_factors_in_single_precision_is_one() -> None:
    """Of N(0, I) from N(0, I + w w'): (log(1 + w'w) - w'w / (1 + w'w)) / 2, where w'w is 2."""
    p = LowRankMultivariateNormal(torch.zeros(60, 2), torch.ones(60, 2, 1), torch.ones(60, 2))
    found, *_ = divergence(torch.randn(400, 60, 2, dtype=torch.float64), p)
    error = float(found.std()) / math.sqrt(60)
    assert abs(float(found.mean()) - (math.log(3) - 2 / 3) / 2) < 4 * error < 0.1


@pytest.mark.parametrize("p", [HalfNormal(torch.ones(20, 1)), Uniform(torch.zeros(20, 1), torch.full((20, 1), 2.0))])
@pytest.mark.parametrize("is_event", [True, False])
def test_a_posterior_beyond_the_exact_support_is_infinitely_far_off(p: Distribution, is_event: bool) -> None:
    """Uniform on [0, 1] is log 2 from the uniform on [0, 2], and log sqrt(pi / 2) + 1 / 6 from a half-normal."""
    u, exact_p = torch.rand(400, 20, 1), Independent(p, 1) if is_event else p
    inside, beyond = divergence(u, exact_p), divergence(torch.cat((u[:1] - 1, u[1:])), exact_p)
    exact = math.log(2) if isinstance(p, Uniform) else math.log(math.pi / 2) / 2 + 1 / 6
    assert abs(float(inside.value.mean()) - exact) < 4 * float(inside.value.std()) / math.sqrt(20) + 0.02
    assert not inside.is_outside.any()
    assert beyond.is_outside.all()
    assert (beyond.value - inside.value).min() > 1, "one sample of 400 where log p is taken as -700"
    assert beyond.value.isfinite().all()


def test_a_figure_says_that_the_divergence_is_infinite() -> None:
    model = Simulator(Event((2,), "real"), Knows(lambda x: HalfNormal(torch.ones_like(x))), 2)
    batch = Batch(torch.randn(4, 2), torch.arange(4))
    _, estimate = PosteriorKL(50)(model, Evidence(batch, batch))
    assert math.isfinite(estimate.value)
    assert estimate.warnings == [
        "samples of the posterior leave the support of the exact one for 4 of 4 examples: the divergence is infinite"
    ]


class Collapsed(Simulator):
    """The posterior is a point, in the first of every two examples."""

    def infer(self, x: Tensor, num: int, context: None = None) -> Tensor:
        """Zeros, and samples of the prior."""
        return torch.randn(num, len(x), self.latent) * (torch.arange(len(x)) % 2)[:, None]


def test_too_few_samples_for_the_units_of_z_are_refused() -> None:
    p = Independent(Normal(torch.zeros(2, 8), 1.0), 1)
    with pytest.raises(ValueError, match=r"`fidelity\.posterior_kl\.num_samples` .* all 8 units of z, but is 6"):
        divergence(torch.randn(6, 2, 8), p)


def test_a_collapsed_posterior_has_a_finite_figure_that_says_so() -> None:
    model = Collapsed(Event((3,), "real"), ConjugateGaussian([[1.0, 0.5], [0.0, 1.0], [0.5, -0.5]], 0.7), 2)
    batch = Batch(torch.randn(10, 3), torch.arange(10))
    values, estimate = PosteriorKL(50)(model, Evidence(batch, batch))
    assert values[::2].min() > 20 > values[1::2].max()
    assert math.isfinite(estimate.value)
    assert math.isfinite(estimate.standard_error or math.nan)
    assert estimate.warnings == [
        "samples of the posterior coincide for 5 of 10 examples: it has collapsed, and the divergence is larger"
    ]


class Knows:
    """x = z, with what is said to be the posterior."""

    def __init__(self, posterior: Callable[[Tensor], object]) -> None:
        self.posterior = posterior

    def __call__(self, z: Tensor) -> Tensor:
        return z


class Positive:
    """x > 0, of which alone the posterior is known."""

    def __call__(self, z: Tensor) -> Tensor:
        return z.exp()

    def posterior(self, x: Tensor) -> Distribution:
        return Gamma(2.0, x)


def test_a_posterior_is_asked_for_what_is_simulated_alone() -> None:
    model = Simulator(Event((2,), "real"), Positive(), 2)
    assert PosteriorKL().is_automatic(model)
    before = torch.get_rng_state()
    PosteriorKL().check(model)
    assert torch.equal(torch.get_rng_state(), before)


def failing(x: Tensor) -> Distribution:
    """A mistake in a posterior."""
    return Normal(x @ torch.ones(3, 2), 1.0)


@pytest.mark.parametrize(
    ("simulate", "settings", "message"),
    [
        (lambda z: z[:, :1], {}, r"`model\.simulate` must give x \[2, 2\] for 2 z, as data are, but gives \[2, 1\]"),
        (lambda z: None, {}, r"`model\.simulate` must give x as a tensor of torch, but gives NoneType"),
        (Knows(lambda x: x), {}, r"`model\.simulate` must have a posterior .* over z \[2, 2\] .*, but gives Tensor"),
        (Knows(lambda x: Normal(x[:, :1], 1.0)), {}, r"`model\.simulate` must have a posterior .*, but gives \[2, 1\]"),
        (
            Knows(failing),
            {},
            r"`model\.simulate` must have a posterior of any x, but raises RuntimeError: mat1",
        ),
        (
            Knows(lambda x: Gamma(2.0, -x.exp(), validate_args=True)),
            {},
            r"`model\.simulate` must have a posterior .*, but raises ValueError: Expected",
        ),
        (lambda z: z, {"noise": 1}, r"`model\.noise` must be a whole number of at least 2, but is 1"),
    ],
)
def test_a_simulator_that_does_not_fit_is_refused(
    simulate: Callable[[Tensor], Tensor], settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Simulator(Event((2,), "real"), simulate, latent=2, **settings)


def test_a_method_that_cannot_measure_says_so_in_one_line(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "model=simulator",
        "dataset.latent=8",
        "dataset.simulate.matrix=[[1,0,0,0,0,0,0,0]]",
        "trainer.max_steps=1",
    )
    method = ("fidelity.methods=[posterior_kl]", "fidelity.posterior_kl.num_samples=6", "fidelity.examples=5")
    assert dgmrun(*words, *method, "train", "fidelity") == 2
    assert "error: `fidelity.posterior_kl.num_samples` must" in capsys.readouterr().err


def test_a_posterior_that_is_not_known_is_not_measured(dgmrun: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model=lotka_volterra", "dataset.sizes=[99,9,9]", "dataset.simulate.steps=30", "hydra.run.dir=run")
    assert dgmrun(*words, "train", "fidelity", "fidelity.methods=[posterior_kl]") == 2
    assert "posterior_kl only where the simulator knows its posterior" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["binary", "unit", "counts"])
def test_to_a_simulator_no_transform_is_named_as_a_cure(kind: str) -> None:
    with pytest.raises(
        ValueError, match=f"`dataset` must be real for a simulator, in units of its own, but is {kind}$"
    ):
        Simulator(Event((2,), kind), simulate=lambda z: z, latent=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dataset.transform=standardise", "`dataset.transform` must be none for the model simulator"),
        ("model.simulate.noise=0", "`model.simulate.noise` must be positive, but is 0"),
        ("dataset.simulate.noise=0", "`dataset.simulate.noise` must be positive, but is 0"),
    ],
)
def test_what_a_simulator_cannot_have_is_refused_by_its_key(
    words: str, message: str, dgmrun: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dgmrun("model=simulator", "dataset.sizes=[99,9,9]", words, "train") == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_posterior_of_the_conjugate_model_is_learned(dgmrun: Command) -> None:
    assert dgmrun("experiment=conjugate_gaussian", "hydra.run.dir=run") == 0
    found = json.loads(Path("run/results.json").read_text())["fidelity"]["posterior_kl"]
    assert found["value"] + 4 * found["standard_error"] < 0.05
    assert found["value"] > -0.02, "a divergence is not negative beyond the noise of 500 samples"
    trained: Any = load("run")
    x = trained.data("test")[:500]
    z, exact = trained.model.infer(x, 500), trained.model.exact_posterior(x)
    widths = (z.std(0) / exact.stddev).log().mean(0)
    assert widths.abs().max() < 0.05, "neither narrower nor wider by a factor of 0.95"
