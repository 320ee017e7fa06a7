"""Topic models against sums over every state of their topics and over every document."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from dgmrun.datasets import topic_bars
from dgmrun.datasets.topic_bars import bars
from dgmrun.estimators.likelihood.enumeration import Enumeration
from dgmrun.gradients import exact
from dgmrun.latent.draws import given, sampled
from dgmrun.models.topic import Topic
from dgmrun.nn.binary import bits
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.score_function import ScoreFunction
from dgmrun.pictures.topics import Words, lines
from dgmrun.pictures.topics import bars as bars_of_words
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded

WORDS, TOPICS = 4, 3
EVENT = Event((WORDS,), "counts")


def topic(**settings: object) -> Topic:
    """One with parameters far from 0, in double precision."""
    with seeded(3, "topic"):
        model = Topic(EVENT, **{"topics": TOPICS, "embedding": 2, "width": 3, **settings}).double()  # type: ignore[arg-type]
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.7 * torch.randn_like(parameter)
    return model


def every(model: Topic) -> Tensor:
    """Every z, [states, 1, topics]."""
    return bits(torch.arange(2 ** model.latent_bits()), model.latent_bits()).double().unsqueeze(1)


def log_p(model: Topic, x: Tensor) -> Tensor:
    """log p(x) as a sum over every z, [batch]."""
    trace = model.trace(x, given([every(model).expand(-1, len(x), -1)]))
    return (trace.log_p[0] + trace.log_p[1]).logsumexp(0)


def documents(length: int) -> Tensor:
    """Every sequence of words of this length, as counts [WORDS^length, WORDS]."""
    sequences = torch.cartesian_prod(*[torch.arange(WORDS)] * length).reshape(-1, length)
    return torch.nn.functional.one_hot(sequences, WORDS).sum(1)


@pytest.mark.parametrize("alpha", [None, 0.1])
def test_probabilities_of_all_sequences_of_a_length_sum_to_one(alpha: float | None) -> None:
    """Without the multinomial coefficient the probability is that of a sequence, of which a document has several."""
    model = topic(alpha=alpha)
    for length in (1, 3):
        assert log_p(model, documents(length)).exp().sum().item() == pytest.approx(1)


def test_the_definition_word_by_word() -> None:
    model, z, x = topic(), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64), torch.tensor([[2, 0, 1, 0]])
    weight, bias = model.requires_grad_(False).words.weight, model.words.bias
    chance = (weight @ z + bias).softmax(0)
    trace = model.trace(x, given([z.expand(1, 1, -1)]))
    assert trace.log_px.item() == pytest.approx(float(2 * chance[0].log() + chance[2].log()))
    on = torch.sigmoid(model.prior)
    assert trace.log_p[1].item() == pytest.approx(float(on[0].log() + (1 - on[1]).log() + on[2].log()))
    mean = (2 * model.embedding[0] + model.embedding[2]) / 3
    torch.testing.assert_close(trace.q[0].probs[0], torch.sigmoid(model.net(mean)))


def test_a_fixed_alpha_is_no_parameter_and_has_its_value() -> None:
    model = topic(alpha=0.1)
    assert torch.sigmoid(model.prior).tolist() == pytest.approx([0.1] * TOPICS)
    assert not model.prior.requires_grad
    assert topic().prior.requires_grad


def test_importance_weights_have_the_mean_that_enumeration_gives() -> None:
    """Within 4.5 standard errors."""
    model, num, x = topic(), 40_000, documents(3)[[5, 27, 63]]
    with seeded(5, "weights"), torch.no_grad():
        w = model.trace(x, sampled(num)).log_w.exp()
    error = w.std(0) / math.sqrt(num)
    assert ((w.mean(0) - log_p(model, x).exp()).abs() < 4.5 * error).all()


def test_the_mean_gradient_of_nvil_is_the_exact_one() -> None:
    """Along the exact gradient, and along a random direction, within 4 standard errors; baselines have been trained."""
    model, x, num = topic(), documents(3)[[5, 27, 63]], 300
    with seeded(5, "nvil"):
        nvil = ScoreFunction(model, Optimization(partial(Adam, lr=1e-3)), k=8, centre="mean", network=3).double()
    parameters = [*model.parameters()]

    def gradient(value: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(value, parameters)])

    truth = gradient(-exact.bound(partial(model.trace, x), x.double(), [TOPICS]).mean())
    with seeded(6, "nvil"):
        directions = torch.stack((truth / truth.norm(), torch.randn_like(truth) / math.sqrt(len(truth))))
        batch = Batch(x, torch.arange(3))
        found = torch.stack([directions @ gradient(nvil.loss(batch)[0]) for _ in range(num)])
    error = found.std(0) / math.sqrt(num)
    assert ((found.mean(0) - directions @ truth).abs() < 4 * error).all()
    assert (4 * error < 0.2 * truth.norm()).all()


def test_it_starts_as_the_unigram_with_the_lengths_of_its_documents() -> None:
    x = torch.tensor([[3, 1, 0, 0], [1, 0, 0, 0], [2, 2, 2, 4]])
    model = topic()
    model.initialise(x)
    model.words.weight.data.zero_()
    share = (torch.tensor([6, 3, 2, 4]).double() + 0.1) / 15.4
    torch.testing.assert_close(log_p(model, x), (x.double() @ share.log()))
    assert model.lengths.unique().tolist() == [1, 4, 10]
    mean = model.decode(torch.zeros(1, 1, TOPICS, dtype=torch.float64)).detach()
    assert float(mean.sum()) == pytest.approx(5)
    assert set(model.sample(200).sum(1).tolist()) == {1, 4, 10}


def test_dreams_have_the_frequencies_that_they_are_given() -> None:
    """Means of documents of 5 words, within 4.8 standard errors: chance is below 1e-5 for each of four words."""
    model, num = topic(), 20_000
    model.lengths.fill_(5)
    model.mean_length.fill_(5)
    with seeded(5, "dreams"):
        x, (z,) = model.dream(num)
    assert (x.dtype, x.shape, z.shape) == (torch.int64, (num, WORDS), (1, num, TOPICS))
    assert x.sum(1).unique().tolist() == [5]
    chance = log_p(model, torch.eye(WORDS)).exp()
    error = x.double().std(0) / math.sqrt(num)
    assert ((x.double().mean(0) - 5 * chance).abs() < 4.8 * error).all()
    torch.testing.assert_close(model.decode(z).sum(-1), torch.full((1, num), 5.0, dtype=torch.float64))


def test_the_words_of_a_topic_add_up_to_its_divergence() -> None:
    model = topic()
    alone = (model.words.weight.t() + model.words.bias).softmax(1)
    none = model.words.bias.softmax(0)
    divergence = (alone * (alone / none).log()).sum(1)
    torch.testing.assert_close(model.raised().sum(1), divergence)


def test_bars_are_a_topic_model_of_which_everything_is_known() -> None:
    """Every word is as frequent as the sum over all 2^6 sets of topics says."""
    assert bars(3).sum(1).tolist() == [3] * 6
    assert bars(3)[1].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert bars(3)[4].tolist() == [0, 1, 0] * 3
    x = topic_bars.load(Path(), [20_000, 5, 5], 3, 0.2, 3.0, 10)["train"].x.double()
    model = Topic(Event((9,), "counts"), topics=6, alpha=0.2).double()
    model.words.weight.data, model.words.bias.data = 3.0 * bars(3).t().double(), torch.zeros(9).double()
    chance = log_p(model, torch.eye(9)).exp()
    error = x.std(0) / math.sqrt(len(x))
    assert ((x.mean(0) - 10 * chance).abs() < 5 * error).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topics": 0}, "`model.topics` must be a whole number of at least 1, but is 0"),
        ({"alpha": 1.0}, "`model.alpha` must be between 0 and 1, or null to learn it, but is 1.0"),
        ({"alpha": "half"}, "`model.alpha` must be between 0 and 1, or null to learn it, but is half"),
        ({"depth": -1}, "`model.depth` must be a whole number of at least 0, but is -1"),
        ({"activation": "swish"}, "`model.activation` must be one of"),
    ],
)
def test_settings_that_no_model_has(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        topic(**settings)


def test_it_is_of_counts() -> None:
    with pytest.raises(ValueError, match="`dataset` must be counts for a topic model, but is binary"):
        Topic(Event((4,), "binary"))


def test_the_likelihood_by_enumeration_is_the_sum() -> None:
    model, x = topic(), documents(3)
    evidence = Evidence(Batch(x, torch.arange(len(x))), Batch(x, torch.arange(len(x))))
    found, estimate = Enumeration()(model, evidence)
    torch.testing.assert_close(found, log_p(model, x).detach())
    assert (estimate.kind, estimate.samples, Enumeration().is_automatic(model)) == ("exact", 8, True)
    with pytest.raises(ValueError, match="must not have enumeration above 2 latent units, but the model has 3"):
        Enumeration(2).check(model)
    with pytest.raises(ValueError, match=r"`likelihood\.enumeration\.max_bits` must be from 1 to 14, but is 15"):
        Enumeration(15)


def test_topics_are_told_and_drawn_by_the_words_that_they_raise() -> None:
    """All are told, and at most twenty drawn."""
    found = [Words(k, k / 100, ["god", "law\x1b"], [0.2, 0.1]) for k in range(1, 24)]
    picture = bars_of_words(found)
    assert len(picture.axes) == 20
    assert picture.axes[0].get_title() == "topic 1: 1%"
    assert lines(picture)[22] == "topic 23     23%  god law?"
    assert {name: column[1] for name, column in picture.data.items()} == {
        **{"topic": 1, "share": 0.01, "rank": 2, "word": "law\x1b", "nats": 0.1}
    }


def test_a_run_tells_its_topics_by_the_words_of_its_data(
    dgmrun: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    short = "trainer.max_steps=2 dataset.sizes=[60,20,20]"
    assert dgmrun("model=topic", "model.topics=2", *short.split(), "train", "sample", "hydra.run.dir=run") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("topic ")]
    assert len(told) == 2
    assert all(line.count("word ") == 10 for line in told)
    assert Path("run/figures/topics.csv").read_text().splitlines()[0] == "topic,share,rank,word,nats"
