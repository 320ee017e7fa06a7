"""Rationales against sums over all masks of short texts, written out, and against the plain classifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import Adam

from dgmrun.estimators.fidelity.accuracy import Accuracy
from dgmrun.estimators.fidelity.words_kept import WordsKept
from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.gradients.exact import bound
from dgmrun.gradients.moments import Moments
from dgmrun.latent.draws import given, sampled
from dgmrun.models.rationale import Rationale
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.objectives.variational.muprop import MuProp
from dgmrun.objectives.variational.rebar import REBAR
from dgmrun.objectives.variational.relax import RELAX
from dgmrun.objectives.variational.rws import RWS
from dgmrun.objectives.variational.score_function import ScoreFunction
from dgmrun.objectives.variational.vimco import VIMCO
from dgmrun.objectives.variational.wake_sleep import WakeSleep
from dgmrun.protocols.values import Batch, Event, Evidence
from dgmrun.rng import seeded
from dgmrun.stages.gradients.measure import Truth
from dgmrun.stages.gradients.measured import gradient
from tests.stages.test_gradients import CHANCE

OPTIMIZATION = Optimization(partial(Adam, lr=1e-3))
CLASS, TEXT = Event((), "categorical", 3), Event((4,), "tokens", 7)
X = torch.tensor([[2, 5, 1, 6], [3, 4, 0, 0], [6, 0, 0, 0]])
Y = torch.tensor([0, 2, 1])
WORDS = [4, 2, 1]
BATCH = Batch(Y, torch.arange(3), X)
SMALL = {"width": 3, "hidden": 4, "window": 3, "dropout": 0.0, "sparsity": 0.2, "coherence": 0.3}


def rationale(text: Event = TEXT, **settings: Any) -> Rationale:
    """A small one in double precision, its parameters far from 0."""
    with seeded(3, "rationale"):
        model = Rationale(CLASS, text, **{**SMALL, **settings}).double()
        for parameter in model.parameters():
            parameter.data += 0.7 * torch.randn_like(parameter)
        model.embedding.weight.data[0] = 0
    return model


def every_mask(words: int) -> Tensor:
    """All masks of a text of 4 places, [masks, 4]."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * words, *[torch.zeros(1)] * (4 - words)).double()


def terms(model: Rationale, row: int, mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """log p(z | x), log p(y | x, z) and the cost of a mask of one text, word by word."""
    text, words = X[row], WORDS[row]
    vectors = model.embedding(text)
    first, _, last = model.selector
    padded = torch.cat((torch.zeros(1, 3), vectors, torch.zeros(1, 3))).double()
    log_p_z, kept = torch.zeros(()).double(), []
    for t in range(words):
        hidden = torch.relu((first.weight * padded[t : t + 3].flatten()).sum(1) + first.bias)
        chance = torch.sigmoid((last.weight[0] * hidden).sum() + last.bias[0])
        log_p_z = log_p_z + (chance if mask[t] else 1 - chance).log()
        kept += [vectors[t]] if mask[t] else []
    mean = torch.stack(kept).mean(0) if kept else torch.zeros(3).double()
    changes = sum(int(mask[t] != mask[t - 1]) for t in range(1, words))
    return log_p_z, model.classifier(mean).softmax(-1)[Y[row]].log(), 0.2 * len(kept) + 0.3 * changes


def by_hand(model: Rationale) -> Tensor:
    """The mean over texts of E[cost - log p(y | x, z)]."""
    each = [terms(model, row, mask) for row, words in enumerate(WORDS) for mask in every_mask(words)]
    return sum(log_p_z.exp() * (cost - log_p) for log_p_z, log_p, cost in each) / 3  # type: ignore[return-value]


def nvil(model: Rationale, **settings: Any) -> ScoreFunction:
    return ScoreFunction(model, OPTIMIZATION, **settings).double()


def test_the_loss_and_its_gradient_are_the_sum_over_all_masks() -> None:
    model = rationale()
    expected, objective = by_hand(model), nvil(model)
    torch.testing.assert_close(-bound(partial(objective.trace, BATCH), Y, [4]).mean(), expected, rtol=0, atol=1e-12)
    found = Truth(objective, 4, is_kept=False)(BATCH)
    assert found is not None
    torch.testing.assert_close(found, gradient("the sum", model, expected), rtol=0, atol=1e-12)


UNBIASED: dict[str, Callable[[Rationale], Variational]] = {
    "reinforce": nvil,
    "nvil": partial(nvil, centre="mean", network=3),
    "nvil, as for sst": partial(nvil, analytic=True, centre="mean", leave_one_out=True, k=3),
    "muprop": lambda model: MuProp(model, OPTIMIZATION),
    "rebar": lambda model: REBAR(model, OPTIMIZATION),
    "relax": lambda model: RELAX(model, OPTIMIZATION, network=4),
    "vimco": lambda model: VIMCO(model, OPTIMIZATION, k=2),
}
OF_P: dict[str, Callable[[Rationale], Variational]] = {
    "rws": lambda model: RWS(model, OPTIMIZATION, k=2),
    "wake_sleep": lambda model: WakeSleep(model, OPTIMIZATION),
}
"""Unbiased for the classifier alone: the mask learns from other updates, or from none."""


def errors(objective: Variational, expected: Tensor, which: Tensor, copies: int = 50, num: int = 62) -> Moments:
    """Of mean gradients of independent batches of several copies of the texts, of these parameters."""
    many = Batch(*(part.repeat(copies, *[1] * (part.dim() - 1)) for part in BATCH))  # type: ignore[union-attr]
    found = Moments()
    for _ in range(num):
        found.add((gradient("a batch", objective.model, objective.loss(many)[0]) - expected)[which])
    return found


def of_parameters(model: Rationale, part: str) -> Tensor:
    """Which entries of a gradient are of a part of the model."""
    each = [torch.full((its.numel(),), name.startswith(part)) for name, its in model.named_parameters()]
    return torch.cat(each)


@pytest.mark.parametrize("name", [*UNBIASED, *OF_P])
def test_mean_gradients_are_those_of_the_sum_over_all_masks(name: str) -> None:
    """To 4.5 expected lengths of the mean error, which chance exceeds with a probability below 1e-4."""
    model = rationale()
    objective = {**UNBIASED, **OF_P}[name](model).double()
    expected = Truth(objective, 8, is_kept=False)(BATCH)
    assert expected is not None
    of_mask = of_parameters(model, "selector")
    which = of_parameters(model, "classifier") if name in OF_P else torch.ones_like(of_mask)
    assert expected[of_mask].norm() > 0.05
    found = errors(objective, expected, which)
    assert found.length() <= CHANCE * found.noise()
    assert found.noise() < 0.2 * expected[which].norm()


def test_wake_sleep_leaves_the_mask_as_it_is() -> None:
    model = rationale()
    of_mask = of_parameters(model, "selector")
    found = errors(WakeSleep(model, OPTIMIZATION).double(), torch.zeros(len(of_mask)), of_mask)
    assert 0 < found.length() <= CHANCE * found.noise()


def test_padding_never_counts_whatever_the_mask_has_there() -> None:
    """Neither in the bound nor in costs, gradients, predictions or shares."""
    short, long = rationale(), rationale(Event((7,), "tokens", 7))
    more = pad(X, (0, 3))
    z = torch.rand(5, 3, 4, dtype=torch.float64)
    junk = torch.where(more == 0, torch.rand(5, 3, 7, dtype=torch.float64), pad(z, (0, 3)))
    traces = short.trace(Y, given([z * (X != 0)]), X), long.trace(Y, given([junk]), more)
    one, other = (trace.charged().log_px for trace in traces)
    assert all(trace.cost is not None and (trace.cost > 0).all() for trace in traces)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
    slopes = [gradient("log p", model, log_p.sum()) for model, log_p in ((short, one), (long, other))]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)
    for each, expected in zip(short.read(X), long.read(more), strict=True):
        torch.testing.assert_close(each, expected[:, : each.shape[1]], rtol=0, atol=1e-14)
    drawn = long.trace(Y, sampled(1000), more)
    assert not drawn.z[0][:, more == 0].any()
    assert not drawn.log_q_units[0][:, more == 0].any()
    assert WordsKept()(short, evidence())[1] == WordsKept()(long, evidence(more))[1]


def evidence(x: Tensor = X) -> Evidence:
    return Evidence(Batch(Y, torch.arange(3), x), Batch(Y, torch.arange(3), x))


def test_a_mask_that_keeps_all_is_the_plain_classifier() -> None:
    learned, plain = rationale(), rationale(mask="all")
    plain.load_state_dict({name: part for name, part in learned.state_dict().items() if "selector" not in name})
    means = torch.stack([learned.embedding(text[text > 0]).mean(0) for text in X])
    log_p = learned.classifier(means).log_softmax(-1)
    whole = learned.trace(Y, given([(X != 0).double().expand(2, -1, -1)]), X)
    drawn = plain.trace(Y, sampled(2), X)
    for trace in (whole, drawn):
        torch.testing.assert_close(trace.log_px, log_p.gather(1, Y[:, None]).t().expand(2, -1), rtol=0, atol=1e-14)
    torch.testing.assert_close(drawn.log_w, drawn.log_px, rtol=0, atol=1e-14)
    mask, probability, log_classes = plain.read(X)
    assert torch.equal(mask, (X != 0).double())
    assert torch.equal(probability, mask)
    torch.testing.assert_close(log_classes, log_p, rtol=0, atol=1e-14)
    assert WordsKept()(plain, evidence())[1].value == 1


@torch.no_grad()
def test_costs_are_no_part_of_a_likelihood() -> None:
    """Of one word, there are two masks: the mean weight tends to their sum."""
    dear, free = rationale(), rationale(sparsity=0.0, coherence=0.0)
    figures = []
    for model in (dear, free):
        with seeded(0, "importance"):
            figures.append(Importance(num_samples=2000)(model, evidence()))
    assert figures[0][1] == figures[1][1]
    log_p_z, log_p, _ = torch.tensor([terms(dear, 2, mask) for mask in every_mask(1)]).double().t()
    exact = torch.logsumexp(log_p_z + log_p, 0)
    spread = float((log_p.exp() - exact.exp()).abs().max() / exact.exp())  # at least the deviation of a weight
    assert abs(float(figures[0][0][2] - exact)) < 4 * spread / math.sqrt(2000)


def test_accuracy_and_words_kept_are_what_is_counted() -> None:
    model = rationale()
    mask, probability, log_p = model.read(X)
    hits, accuracy = Accuracy()(model, evidence())
    assert torch.equal(hits, (log_p.argmax(1) == Y).double())
    assert (accuracy.quantity, accuracy.value) == ("accuracy", float(hits.mean()))
    assert torch.equal(mask, (probability > 0.5).double())
    assert 0 < mask.sum() < 7
    for row, words in enumerate(WORDS):
        _, expected, _ = terms(model, row, mask[row])
        torch.testing.assert_close(log_p[row, Y[row]], expected, rtol=0, atol=1e-12)
        chances = torch.stack([terms(model, row, each)[0].exp() * each for each in every_mask(words)]).sum(0)
        torch.testing.assert_close(probability[row], chances, rtol=0, atol=1e-12)
    values, share = WordsKept()(model, evidence())
    assert share.value == pytest.approx(float(mask.sum() / 7)) == pytest.approx(float(values.mean()))
    assert share.diagnostics == {"words": 7.0, "kept": float(mask.sum())}


def test_the_share_of_a_random_mask_is_within_its_error() -> None:
    model = rationale(mask="random", share=0.3)
    many = evidence()
    many = many._replace(batch=Batch(*(part.repeat(500, *[1] * (part.dim() - 1)) for part in many.batch)))  # type: ignore[union-attr]
    _, share = WordsKept()(model, many)
    assert share.standard_error == pytest.approx(math.sqrt(0.3 * 0.7 / 3500), rel=0.1)
    assert abs(share.value - 0.3) < 4 * share.standard_error


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"mask": "none"}, "mask"),
        ({"share": 1.0}, "share"),
        ({"sparsity": -0.1}, "sparsity"),
        ({"coherence": math.nan}, "coherence"),
        ({"window": 4}, "window"),
        ({"dropout": 1.0}, "dropout"),
        ({"width": 0}, "width"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=rf"`model\.{key}` must be"):
        rationale(**settings)


def test_data_that_are_no_classes_of_texts_are_refused() -> None:
    for event, context in ((CLASS, CLASS), (TEXT, TEXT), (Event((2,), "categorical", 3), TEXT)):
        with pytest.raises(ValueError, match="`given` must be x for a rationale"):
            Rationale(event, context)
