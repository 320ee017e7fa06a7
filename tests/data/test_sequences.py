"""Sequences drawn from processes whose entropies are known, against enumeration, matrices and means."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
import torch
from torch.distributions import MultivariateNormal

from dgmrun.datasets import markov, resonator
from dgmrun.errors import Mistake

SIZES = [20_000, 5, 5]


def log_p(x: torch.Tensor, states: int, flip: float) -> torch.Tensor:
    """log p of sequences, step by step."""
    moved = x[:, 1:] != x[:, :-1]
    each = torch.where(moved, math.log(flip / (states - 1)), math.log(1 - flip))
    return each.double().sum(1) - math.log(states)


@pytest.mark.parametrize(("length", "states", "flip"), [(1, 3, 0.2), (8, 2, 0.1), (5, 3, 0.6), (4, 4, 0.75)])
def test_a_markov_chain_has_the_entropy_of_enumeration(length: int, states: int, flip: float) -> None:
    every = torch.cartesian_prod(*[torch.arange(states)] * length).reshape(-1, length)
    p = log_p(every, states, flip)
    assert float(p.exp().sum()) == pytest.approx(1)
    assert markov.entropy(length, states, flip) == pytest.approx(float(-(p.exp() * p).sum()))


def test_the_entropy_rate_is_that_of_a_binary_chain() -> None:
    assert markov.rate(2, 0.1) == pytest.approx(0.325083, abs=5e-7)
    assert (markov.rate(5, 0.0), markov.rate(2, 1.0)) == (0, 0)


def test_a_markov_chain_moves_as_often_as_it_says_and_everywhere_alike() -> None:
    x = markov.load(Path(), SIZES, 12, 5, 0.3)["train"].x.long()
    nats = -log_p(x, 5, 0.3)
    assert abs(nats.mean() - markov.entropy(12, 5, 0.3)) <= 4 * nats.std() / math.sqrt(len(x))
    jumps = (x[:, 1:] - x[:, :-1])[x[:, 1:] != x[:, :-1]] % 5
    for counts, share in ((jumps.bincount()[1:], 1 / 4), (x[:, 0].bincount(), 1 / 5), (x[:, -1].bincount(), 1 / 5)):
        total = int(counts.sum())
        assert (counts / total - share).abs().max() <= 4.5 * math.sqrt(share * (1 - share) / total)


@pytest.mark.parametrize(("length", "radius", "frequency"), [(1, 0.9, 0.1), (2, 0.5, 0.3), (9, 0.95, 0.05), (6, 0, 0)])
def test_a_resonator_has_the_entropy_of_its_covariance(length: int, radius: float, frequency: float) -> None:
    """Of the autocovariances that the recursion of the process gives, one after another."""
    first, second = resonator.coefficients(radius, frequency)
    variance, neighbours = resonator.moments(radius, frequency)
    covariances = [variance, neighbours * variance]
    while len(covariances) < length:
        covariances.append(first * covariances[-1] + second * covariances[-2])
    assert variance == pytest.approx(first * covariances[1] + second * (first * covariances[1] + second * variance) + 1)
    steps = torch.arange(length)
    matrix = torch.tensor(covariances, dtype=torch.float64)[(steps - steps[:, None]).abs()]
    p = MultivariateNormal(torch.zeros(length, dtype=torch.float64), matrix)
    assert resonator.entropy(length, radius, frequency) == pytest.approx(float(p.entropy()), abs=1e-6)
    x = resonator.load(Path(), SIZES, length, radius, frequency)["train"].x.double()
    nats = -p.log_prob(x)
    assert abs(nats.mean() - p.entropy()) <= 4 * nats.std() / math.sqrt(len(x))


def test_the_optimum_is_told_when_data_are_loaded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dgmrun"):
        markov.load(Path(), [1, 1, 1], 11, 2, 0.1)
    assert "markov: entropy 3.943977 nats a sequence, 0.325083 a step after the first" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 2, 0.1), r"`dataset.length` must be a whole number of at least 1, but is 0"),
        ((4, 1, 0.1), r"`dataset.states` must be a whole number from 2 to 256, but is 1"),
        ((4, 2, 1.1), r"`dataset.flip` must be from 0 to 1, but is 1.1"),
    ],
)
def test_settings_of_no_chain(settings: tuple[int, int, float], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        markov.event([1, 1, 1], *settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((1.5, 0.9, 0.1), r"`dataset.length` must be a whole number of at least 1, but is 1.5"),
        ((4, 1.0, 0.1), r"`dataset.radius` must be at least 0 and below 1, as it is stationary, but is 1.0"),
        ((4, 0.9, 0.6), r"`dataset.frequency` must be from 0 to 0.5 cycles a step, but is 0.6"),
    ],
)
def test_settings_of_no_resonator(settings: tuple[int, float, float], message: str) -> None:
    with pytest.raises(Mistake, match=message):
        resonator.event([1, 1, 1], *settings)
