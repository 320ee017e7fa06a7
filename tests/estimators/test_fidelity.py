"""Coverage of modes and accuracy of classes, against what is counted by hand."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dgmrun.estimators.fidelity.accuracy import Accuracy
from dgmrun.estimators.fidelity.coverage import Coverage
from dgmrun.models.nade import NADE
from dgmrun.nn.binary import bits
from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.models import takes_context
from dgmrun.protocols.values import Batch, Event, Evidence, Modes
from dgmrun.rng import seeded

NOTHING = Batch(torch.zeros(0, 2), torch.arange(0))
CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


class Fixed:
    """A model that has these samples."""

    event = Event((2,), "real")

    def __init__(self, x: list[list[float]]) -> None:
        self.x = torch.tensor(x)

    def sample(self, num: int, context: None = None) -> Tensor:
        assert num == len(self.x)
        return self.x


@pytest.mark.parametrize(
    ("samples", "distances", "covered", "near"),
    [
        ([[0.0, 1.5], [10.0, 0.0], [9.0, 0.0], [5.0, 5.0]], [0.75, 0.0, 0.5, math.sqrt(50) / 2], 2, 0.75),
        ([[0.0, 2.5], [13.0, 0.0]], [1.25, 1.5], 0, 0.0),
        ([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 11.0]], [0.0, 0.0, 0.0, 0.5], 4, 1.0),
        ([[0.0, 2.0]], [1.0], 0, 0.0),  # at the reach is outside
    ],
)
def test_modes_are_covered_that_a_sample_is_within_reach_of(
    samples: list[list[float]], distances: list[float], covered: int, near: float
) -> None:
    evidence = Evidence(NOTHING, NOTHING, modes=Modes(CENTRES, 2.0))
    each, estimate = Coverage(num_samples=len(samples))(Fixed(samples), evidence)
    torch.testing.assert_close(each, torch.tensor(distances, dtype=torch.float64))
    assert (estimate.quantity, estimate.value, estimate.unit) == ("coverage", covered / 4, "of 1")
    assert (estimate.kind, estimate.bias, estimate.interval) == ("lower_bound", "down", (covered / 4, None))
    assert estimate.standard_error is None
    assert estimate.warnings
    assert estimate.diagnostics == {
        "modes": 4,
        "covered": covered,
        "near": near,
        "standard_error_near": pytest.approx(math.sqrt(near * (1 - near) / len(samples))),
    }


def test_modes_are_of_the_data_and_not_of_what_a_standardised_model_sees() -> None:
    evidence = Evidence(NOTHING, NOTHING, modes=Modes(CENTRES, 2.0), original=lambda x: 10 * x)
    _, estimate = Coverage(num_samples=3)(Fixed([[0.0, 0.1], [1.0, 0.0], [0.5, 0.5]]), evidence)
    assert (estimate.value, estimate.diagnostics["near"]) == (0.5, 2 / 3)


def test_coverage_of_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`fidelity\.coverage\.num_samples` must be at least 1, but is 0"):
        Coverage(num_samples=0)


class Classifier(nn.Module):
    """p(y | x) in proportion to exp of the entry y of x."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event, self.context = event, Event((event.size or 2,), "real")

    def log_prob(self, y: Tensor, context: Tensor) -> Tensor:
        log_p = context.log_softmax(1)
        return log_p.gather(1, y.reshape(len(y), 1).long())[:, 0]

    def sample(self, num: int, context: Tensor) -> Tensor:
        return torch.distributions.Categorical(logits=context).sample().reshape(num, *self.event.shape)


@pytest.mark.parametrize("event", [Event((), "categorical", 3), Event((1,), "categorical", 3)])
@pytest.mark.parametrize("times", [1, 400])
def test_accuracy_is_the_share_of_classes_that_are_likeliest(event: Event, times: int) -> None:
    """Of five examples three are right; so often over that they do not fit one block."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.5], [0.0, 0.1, 0.2]])
    y = torch.tensor([0, 2, 0, 0, 1]).repeat(times).reshape(-1, *event.shape)
    batch = Batch(y, torch.arange(len(y)), logits.repeat(times, 1))
    hits, estimate = Accuracy()(Classifier(event), Evidence(batch, batch))
    assert hits.tolist() == [1.0, 1.0, 0.0, 1.0, 0.0] * times
    num = 5 * times
    assert estimate.value == pytest.approx(0.6)
    assert estimate.standard_error == pytest.approx(math.sqrt(0.24 / num))
    assert (estimate.quantity, estimate.kind, estimate.bias, estimate.samples) == ("accuracy", "estimate", "none", num)
    assert estimate.interval is not None
    low, high = estimate.interval
    hits_, law = 3 * times, torch.arange(num + 1)
    assert float(binomial(num, low or 0.0)[law >= hits_].sum()) == pytest.approx(0.00135, rel=1e-4)
    assert float(binomial(num, high or 0.0)[law <= hits_].sum()) == pytest.approx(0.00135, rel=1e-4)


def binomial(num: int, p: float) -> torch.Tensor:
    """Probabilities of 0 to `num` hits, [num + 1]."""
    law = torch.distributions.Binomial(num, torch.tensor(p, dtype=torch.float64))
    return law.log_prob(torch.arange(num + 1, dtype=torch.float64)).exp()


@pytest.mark.parametrize("num", [1, 2, 5, 10, 100])
def test_the_interval_of_a_share_covers_every_probability(num: int) -> None:
    """By the sum over all numbers of hits; three standard errors of Wilson's score miss 7.7 % at p = 0.992, n = 10."""
    ends = [binomial_interval(hits, num) for hits in range(num + 1)]
    for p in torch.linspace(0.001, 0.999, 250).tolist():
        covers = torch.tensor([low <= p <= high for low, high in ends])
        assert float(binomial(num, p)[covers].sum()) >= 0.9973


def test_a_binary_class_is_one_of_two_and_all_right_leaves_an_interval() -> None:
    event = Event((), "binary")
    batch = Batch(torch.tensor([0.0, 1.0, 1.0]), torch.arange(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))
    hits, estimate = Accuracy()(Classifier(event), Evidence(batch, batch))
    assert hits.tolist() == [1.0, 1.0, 1.0]
    assert (estimate.value, estimate.standard_error) == (1.0, 0.0)
    assert estimate.interval == pytest.approx((0.00135 ** (1 / 3), 1.0))


@pytest.mark.parametrize(
    ("event", "context", "suits"),
    [
        (Event((1,), "binary"), Event((4,), "real"), True),
        (Event((1,), "binary"), None, False),
        (Event((2,), "binary"), Event((4,), "real"), False),
        (Event((2,), "binary"), Event((2,), "binary"), False),
    ],
)
def test_accuracy_is_of_one_class_given_something(event: Event, context: Event | None, suits: bool) -> None:
    assert takes_context(NADE) == (True, False)
    model: Any = NADE(event, 2, context=context)
    assert Accuracy().is_automatic(model) is suits
    if not suits:
        with pytest.raises(ValueError, match=r"`fidelity\.methods` can have accuracy only for a model of one class"):
            Accuracy().check(model)


BITS, CLASS = Event((1, 2, 2), "binary"), Event((), "categorical", 3)


def of_every(counts: list[int]) -> tuple[NADE, Evidence, Tensor]:
    """A model of 2 x 2 bits given a class, evidence of every x of every class, and log p(x, y), [16, 3]."""
    with seeded(4, "bayes"):
        model = NADE(BITS, 3, context=CLASS).double()
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter)
    x = bits(torch.arange(16), 4).double().reshape(16, 1, 2, 2)
    log_p = torch.stack([model.log_prob(x, torch.full((16,), one)) for one in range(3)], 1).detach()
    batch = Batch(x.repeat_interleave(3, 0), torch.arange(48), torch.arange(3).repeat(16))
    prior = torch.tensor(counts, dtype=torch.float64)
    evidence = Evidence(batch, batch, class_counts=torch.tensor(counts))
    return model, evidence, log_p + (prior / prior.sum()).log()


def test_a_model_given_a_class_is_as_accurate_as_the_classifier_by_the_rule_of_bayes() -> None:
    model, evidence, joint = of_every([5, 3, 2])
    assert not Accuracy().is_automatic(model)
    Accuracy().check(model)
    hits, estimate = Accuracy()(model, evidence)
    assert float((hits.reshape(16, 3) * joint.exp()).sum()) == pytest.approx(float(joint.exp().max(1).values.sum()))
    assert hits.reshape(16, 3).sum(1).tolist() == [1.0] * 16
    assert estimate.value == pytest.approx(1 / 3)
    posterior = joint - joint.logsumexp(1, keepdim=True)
    assert estimate.diagnostics["log_posterior"] == pytest.approx(float(posterior.mean()))
    assert estimate.diagnostics["standard_error_log_posterior"] == pytest.approx(float(posterior.std() / 48**0.5))


def test_a_model_of_single_precision_scores_classes_in_double_as_its_likelihoods_are() -> None:
    model, evidence, _ = of_every([5, 3, 2])
    single, batch = model.float(), evidence.batch._replace(x=evidence.batch.x.float())
    _, estimate = Accuracy()(single, evidence._replace(batch=batch))
    _, expected = Accuracy()(deepcopy(single).double(), evidence)
    assert estimate.diagnostics == expected.diagnostics


def test_a_class_that_no_training_example_has_is_never_the_likeliest() -> None:
    model, evidence, joint = of_every([5, 0, 2])
    hits, estimate = Accuracy()(model, evidence)
    assert hits.reshape(16, 3)[:, 1].sum() == 0
    assert torch.equal(hits.reshape(16, 3).argmax(1), joint.argmax(1))
    assert estimate.diagnostics == {"log_posterior": None, "standard_error_log_posterior": None}


def test_of_equal_classes_the_first_counts() -> None:
    model, evidence, _ = of_every([1, 1, 1])
    model.visible_told.data.zero_()
    model.hidden_told.data.zero_()
    hits, estimate = Accuracy()(model, evidence)
    assert hits.reshape(16, 3).tolist() == [[1.0, 0.0, 0.0]] * 16
    assert estimate.diagnostics["log_posterior"] == pytest.approx(-math.log(3))
