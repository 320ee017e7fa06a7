"""Posteriors against quadrature: their evidence, their chains, and the draws that make their datasets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from dgmrun.datasets.posterior import event, load, rejected
from dgmrun.errors import Mistake
from dgmrun.estimators.log_z import AIS, Bridge, Importance, Laplace
from dgmrun.estimators.proposal import Proposal
from dgmrun.models import Posterior
from dgmrun.nn.bayes import LIKELIHOODS, Knowledge, knowledge, maximum
from dgmrun.paths import options
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

KEYS = ("likelihood", "inputs", "outcomes", "columns", "scale")


def settings(dataset: str, **changes: Any) -> dict[str, Any]:
    node = yaml.safe_load(options("dataset")[dataset].read_text())
    return {key: node[key] for key in KEYS} | changes


def known(dataset: str, **changes: Any) -> Knowledge:
    return knowledge(**settings(dataset, **changes))


def posterior(dataset: str, **changes: Any) -> Posterior:
    its = settings(dataset, **changes)
    return Posterior(event([1, 1, 1], **its), **its)


@cache
def grid() -> tuple[Tensor, Tensor]:
    """A fine grid of the two coefficients of `challenger`, and log f at each point by definition, in float64."""
    its = known("challenger")
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    theta = torch.cartesian_prod(axis, axis)
    p = torch.sigmoid(theta @ its.inputs.t())
    log_f = torch.where(its.outcomes > 0, p, 1 - p).log().sum(1) + Normal(0.0, 3.0).log_prob(theta).sum(1)
    return theta, log_f


def evidence_of_two() -> float:
    _, log_f = grid()
    return float(torch.logsumexp(log_f, 0)) + 2 * math.log(24 / 800)


def evidence_of_a_constant() -> float:
    """Of seven failures in 23 flights of the same probability."""
    theta = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    p = torch.sigmoid(theta)
    log_f = 7 * p.log() + 16 * (1 - p).log() + Normal(0.0, 3.0).log_prob(theta)
    return float(torch.logsumexp(log_f, 0)) + math.log(24 / 2000)


def evidence_of_schools(scale: float = 5.0) -> float:
    """log p(y), with effects and mean integrated in closed form, and the logarithm of the spread by quadrature."""
    its = known("eight_schools", scale=scale)
    log_spread = torch.linspace(-8, 8, 2001, dtype=torch.float64) + math.log(scale)
    diagonal = its.inputs[:, 0].square() + (2 * log_spread).exp()[:, None]
    marginal = MultivariateNormal(torch.zeros(8, dtype=torch.float64), diagonal.diag_embed() + scale**2)
    log_f = marginal.log_prob(its.outcomes) + Normal(math.log(scale), 1.0).log_prob(log_spread)
    return float(torch.logsumexp(log_f, 0)) + math.log(16 / 2000)


@pytest.mark.parametrize(
    ("dataset", "columns", "exact"),
    [
        ("challenger", 0, evidence_of_a_constant),
        ("challenger", 1, evidence_of_two),
        ("eight_schools", 1, evidence_of_schools),
    ],
)
def test_annealing_from_the_prior_gives_the_evidence(dataset: str, columns: int, exact: Callable[[], float]) -> None:
    with seeded(0, "evidence"):
        estimate = AIS(num_chains=500, num_temperatures=60, spacing="cubic")(
            posterior(dataset, columns=columns), torch.zeros(1)
        )
    assert estimate.standard_error is not None
    assert estimate.standard_error < 0.1
    assert abs(estimate.value - exact()) < 4.5 * estimate.standard_error


class Student(torch.nn.Module):
    """A Gaussian with the mean of the posterior of `challenger`, and a little wider."""

    def __init__(self) -> None:
        super().__init__()
        theta, log_f = grid()
        weight = log_f.softmax(0)
        mean = weight @ theta
        self.q = MultivariateNormal(mean, 1.5 * (weight * (theta - mean).t()) @ (theta - mean))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        return self.q.log_prob(x.double())

    def sample(self, num: int, context: None = None) -> Tensor:
        return self.q.sample((num,)).float()


def test_importance_and_bridge_through_a_student_give_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgmrun.estimators.proposal.ANNEALED", 50)
    model, few = posterior("challenger"), {"num_samples": 4000, "num_chains": 400, "burn_in": 30, "thin": 2}
    proposal = Proposal(Student(), model, torch.zeros(1), seed=0)
    for method in (Importance(**few), Bridge(**few)):
        estimate = method(model, torch.zeros(1), proposal)
        assert estimate.interval is not None
        assert estimate.standard_error is not None
        assert abs(estimate.value - evidence_of_two()) < 4.5 * estimate.standard_error


def test_laplace_is_the_integral_of_the_gaussian_at_the_mode() -> None:
    model = posterior("challenger")
    mode, precision = (part.double() for part in model.peak())
    theta, log_f = grid()
    offset = theta - mode
    gaussian = log_f.max() - (offset @ precision * offset).sum(1) / 2
    value = Laplace()(model, torch.zeros(1)).value
    assert value == pytest.approx(float(torch.logsumexp(gaussian, 0)) + 2 * math.log(24 / 800), abs=1e-3)
    assert value == pytest.approx(evidence_of_two(), abs=0.1)
    assert theta[log_f.argmax()].tolist() == pytest.approx(mode.tolist(), abs=0.03)


def assert_moments(x: Tensor) -> None:
    """Independent draws of the posterior of `challenger` have its means and variances, by quadrature."""
    theta, log_f = grid()
    weight = log_f.softmax(0)
    for values, at in ((x, theta), (x.square(), theta.square()), (x.prod(1), theta.prod(1))):
        mean = weight @ at
        error = ((weight @ at.square() - mean.square()) / len(x)).sqrt()
        assert ((values.mean(0) - mean).abs() < 4.9 * error).all()


def test_draws_of_the_dataset_are_of_the_posterior_and_chains_leave_them_so() -> None:
    with seeded(0, "walk"):
        x = rejected("logistic", known("challenger"), 20_000)
        assert_moments(x)
        x = posterior("challenger").walk(x.float(), 5).double()
    assert_moments(x)


def test_chains_from_the_prior_come_to_the_posterior_of_schools_and_none_is_stuck() -> None:
    model = posterior("eight_schools")
    with seeded(0, "walk"):
        draws = rejected("hierarchical", known("eight_schools"), 1000).float()
        states = model.walk(model.annealed(draws).start(1000), 120)
    for values in (model.log_likelihood, lambda x: x[:, 0], lambda x: x[:, 1]):
        a, b = values(draws), values(states)
        assert abs(a.mean() - b.mean()) < 4.5 * math.sqrt(float(a.var() + b.var()) / 1000)
    assert model.log_likelihood(states).min() > -60


def test_a_flat_prior_gives_the_published_regression() -> None:
    """Dalal et al.'s data in every textbook: 15.0429 - 0.2322 per degree, log-likelihood -10.158."""
    its = known("challenger")

    def log_likelihood(theta: Tensor) -> Tensor:
        return LIKELIHOODS["logistic"](theta, its.inputs, its.outcomes)

    best = maximum(log_likelihood, its.mean)
    degrees = torch.tensor(settings("challenger")["inputs"][0], dtype=torch.float64)
    slope = float(best[1] / degrees.std(correction=0))
    assert slope == pytest.approx(-0.2322, abs=5e-5)
    assert float(best[0]) - slope * float(degrees.mean()) == pytest.approx(15.0429, abs=5e-4)
    assert float(log_likelihood(best)) == pytest.approx(-10.158, abs=5e-4)


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        ("challenger", {"likelihood": "probit"}, "`dataset.likelihood` must be one of logistic, hierarchical, but is"),
        ("challenger", {"scale": 0.0}, "`dataset.scale` must be positive, but is 0.0"),
        ("challenger", {"columns": 3}, "`dataset.columns` must be from 0 to 2, but is 3"),
        ("challenger", {"outcomes": [0, 1]}, "`dataset.inputs` must be columns of 2 numbers"),
        ("challenger", {"outcomes": [2.0] * 23}, "`dataset.outcomes` must be 0 or 1"),
        ("challenger", {"inputs": [[1] * 23]}, "`dataset.inputs` must be columns of different numbers"),
        ("eight_schools", {"outcomes": [math.nan] * 8}, "`dataset.inputs` and `dataset.outcomes` must be finite"),
        ("eight_schools", {"columns": 0}, "`dataset.columns` must be 1 for a hierarchical likelihood, but is 0"),
        ("eight_schools", {"inputs": [[0] * 8]}, "`dataset.inputs` must be positive numbers"),
    ],
)
def test_knowledge_that_no_posterior_has(dataset: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        known(dataset, **changes)


def test_a_posterior_has_as_many_parameters_as_its_dataset() -> None:
    with pytest.raises(ValueError, match=r"`dataset.event` must have the shape \[2\] of .* \[3\]: dataset.columns=1"):
        Posterior(Event((3,), "real"), **settings("challenger"))


def test_a_posterior_without_a_peak_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`dataset.outcomes` and `dataset.scale` must be such that"):
        posterior("eight_schools", outcomes=[1e30] * 8)


def test_a_posterior_too_far_from_its_prior_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgmrun.datasets.posterior.BLOCKS", 1)
    with pytest.raises(Mistake, match=r"`dataset.sizes` must be so small"):
        load(Path(), [10, 10, 10], **settings("eight_schools", outcomes=[50] * 8))


def test_nothing_is_trained(dgmrun: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["train"], "`stages` must not have train for posterior, which has nothing to train"),
        (["dataset=moons"], "`dataset` must be one with the key likelihood, from which `model.likelihood` is taken"),
    ):
        assert dgmrun("model=posterior", *words) == 2
        assert message in capsys.readouterr().err


def test_a_student_of_a_posterior_measures_its_evidence(
    dgmrun: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmrun.estimators.proposal.ANNEALED", 20)
    few = [f"log_z.bridge.{each}" for each in ("num_samples=400", "num_chains=40", "burn_in=10", "thin=1")]
    assert dgmrun("model=posterior", "log_z.methods=[laplace]", "hydra.run.dir=teacher") == 0
    assert "no picture" not in Path("teacher/run.log").read_text()
    taught = ("model=gaussian", "objective=distill_kl", "objective.teacher=teacher", "objective.stream.burn_in=2")
    short = ("trainer.max_steps=5", "log_z.methods=[bridge]", *few)
    assert dgmrun(*taught, *short, "train", "log_z", "hydra.run.dir=student") == 0
    measured = [json.loads(Path(run, "results.json").read_text())["log_z"] for run in ("teacher", "student")]
    assert [sorted(each) for each in measured] == [["bridge", "laplace"], ["bridge"]]
    assert measured[0]["bridge"]["value"] == measured[1]["bridge"]["value"]


@pytest.mark.slow
def test_intervals_of_annealing_cover_the_evidence_of_synthetic_observations() -> None:
    """200 parameters of the prior and 23 observations of each: no more than 2 % warned, at least 99 % covered."""
    axis = torch.linspace(-20, 20, 401, dtype=torch.float64)
    theta, anneal = torch.cartesian_prod(axis, axis), AIS(num_chains=400, num_temperatures=100, spacing="cubic")
    covered = []
    for repetition in range(200):
        with seeded(repetition, "observations"):
            x, (constant, slope) = torch.randn(23), 3 * torch.randn(2)
            chance = torch.sigmoid(constant + slope * (x - x.mean()) / x.std(correction=0))
            its = settings("challenger", inputs=[x.tolist()], outcomes=chance.bernoulli().int().tolist())
            model = Posterior(event([1, 1, 1], **its), **its)
            estimate = anneal(model, torch.zeros(1))
        exact = torch.logsumexp(model.double().log_unnormalised(theta), 0).item() + 2 * math.log(40 / 400)
        low, high = estimate.interval or (None, None)
        assert low is not None
        assert high is not None
        covered += [] if estimate.warnings else [low <= exact <= high]
    print(f"{len(covered)} of 200 without a warning, of which {sum(covered)} covered")
    assert len(covered) >= 196
    assert sum(covered) >= 0.99 * len(covered)
