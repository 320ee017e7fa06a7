"""Random bits: frequencies, independence, seeds, and layouts; and the weights of annealing that come with them."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom, chi2, norm

from dgmrun.nn.binary import annealed_bits, bernoulli

NUM = 4 * 10**6
TAIL = float(norm.sf(4))
"""Probability of each tail beyond 4 standard errors."""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "p",
    [2**-17, 1 / 256, 0.3, 0.5, 255 / 256, 1 - 2**-17, 1 - 2**-24],
)
def test_frequency_is_the_probability(p: float) -> None:
    probability = torch.full((NUM,), p)
    exact = float(probability[0])
    count = int(bernoulli(probability).sum(dtype=torch.float64))
    assert binom.ppf(TAIL, NUM, exact) <= count <= binom.isf(TAIL, NUM, exact)


def test_none_is_impossible_and_all_are_certain() -> None:
    assert not bernoulli(torch.zeros(NUM)).any()
    assert bernoulli(torch.ones(NUM)).all()


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8])
def test_neighbours_are_independent(lag: int) -> None:
    first, second = bernoulli(torch.full((NUM // lag // 2, 2, lag), 0.3)).unbind(1)
    counts = torch.bincount((2 * first + second).flatten().long(), minlength=4).double()
    expected = torch.tensor([0.49, 0.21, 0.21, 0.09], dtype=torch.float64) * counts.sum()
    assert float(((counts - expected).square() / expected).sum()) < chi2.isf(2 * TAIL, 3)


def test_same_seed_same_bits_and_other_draws_after() -> None:
    probability = torch.full((100,), 0.5)
    first, second = bernoulli(probability), bernoulli(probability)
    torch.manual_seed(0)
    assert torch.equal(bernoulli(probability), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("num", [0, 1, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_sizes_and_types_are_those_of_the_probabilities(num: int, dtype: torch.dtype) -> None:
    drawn = bernoulli(torch.full((num,), 0.5, dtype=dtype))
    assert drawn.dtype == dtype
    assert drawn.shape == (num,)
    assert ((drawn == 0) | (drawn == 1)).all()


def test_layouts_keep_each_probability_at_its_place() -> None:
    probability = torch.arange(2.0).repeat(400)
    for layout in (probability.expand(100, -1), probability.repeat(100, 1).t(), probability.repeat(100, 2)[:, ::3]):
        assert torch.equal(bernoulli(layout), layout)


@pytest.mark.parametrize(("beta", "next_beta"), [(0.0, 0.001), (0.5, 0.501), (0.3, 0.9), (0.0, 1.0), (1.0, 0.0)])
def test_increments_of_annealing_are_differences_of_log_partition_functions(beta: float, next_beta: float) -> None:
    """Up to two rounding errors of the largest terms and one of each logarithm."""
    logits = torch.randn(20, 500) * 30
    _, found = annealed_bits(logits, torch.tensor(beta), torch.tensor(next_beta))
    warm, cold = (float(torch.tensor(each)) * logits.double() for each in (beta, next_beta))
    expected = (torch.logaddexp(cold, torch.zeros_like(cold)) - torch.logaddexp(warm, torch.zeros_like(warm))).sum(-1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=500 * 2**-23)
