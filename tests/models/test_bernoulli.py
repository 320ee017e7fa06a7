"""Independent units: their optimum is the frequency of ones, and their greatest likelihood that of the frequencies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.special import entr

from dgmrun.models.bernoulli import Bernoulli
from dgmrun.protocols.values import Event

CLASSES = Event((), "categorical", 2)


def trained(x: Tensor, y: Tensor | None = None) -> Bernoulli:
    """At the maximum of the likelihood, in float64."""
    model = Bernoulli(Event(tuple(x.shape[1:]), "binary"), None if y is None else CLASSES).double()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -model.log_prob(x, y).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return model


def most(x: Tensor) -> float:
    """The greatest mean log-likelihood of independent units: minus the sum of the entropies of the frequencies."""
    frequency = x.flatten(1).mean(0)
    return -float((entr(frequency) + entr(1 - frequency)).sum())


def test_the_coin_is_the_frequency_of_heads() -> None:
    """7 of 10."""
    x = torch.tensor([1.0] * 7 + [0.0] * 3, dtype=torch.float64)[:, None]
    coin = trained(x)
    assert torch.sigmoid(coin.logits).item() == pytest.approx(0.7, abs=1e-9)
    assert coin.log_prob(x).mean().item() == pytest.approx(most(x), abs=1e-12)


def test_the_greatest_likelihood_is_that_of_the_frequencies() -> None:
    x = (torch.rand(200, 2, 3) < torch.rand(2, 3)).double()
    assert trained(x).log_prob(x).mean().item() == pytest.approx(most(x), abs=1e-9)


def test_given_labels_there_is_a_coin_for_each() -> None:
    x, y = (torch.rand(100, 5) < 0.3).double(), torch.arange(100) % 2
    model = trained(x, y)
    for each in range(2):
        alone = x[y == each]
        assert model.log_prob(alone, y[y == each]).mean().item() == pytest.approx(most(alone), abs=1e-9)
        assert torch.allclose(model.means(alone, y[y == each])[0], alone.mean(0), atol=1e-6)


def test_samples_have_its_means_and_begin_even() -> None:
    model = Bernoulli(Event((1, 2, 2), "binary"))
    assert torch.equal(model.means(torch.zeros(3, 1, 2, 2)), torch.full((3, 1, 2, 2), 0.5))
    with torch.no_grad():
        model.logits.copy_(torch.tensor([-2.0, -1, 1, 2]))
    x, p = model.sample(20_000), torch.sigmoid(model.logits).reshape(1, 2, 2)
    assert ((x.mean(0) - p).abs() < 5 * (p * (1 - p) / len(x)).sqrt()).all()
