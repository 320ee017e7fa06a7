"""The error bar of a log mean weight where its distribution is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgmrun.estimators.log_mean import MARKOV, log_mean


def test_equal_weights_have_no_error() -> None:
    mean = log_mean(torch.full((10,), 2.5, dtype=torch.float64))
    assert mean.value == pytest.approx(2.5)
    assert mean.standard_error == 0
    assert mean.effective_sample_size == pytest.approx(10)
    assert mean.warnings("more") == []


def test_covers_the_mean_of_log_normal_weights() -> None:
    """log w ~ N(-s^2/2, s^2) has log E[w] = 0. 5,000 repetitions of 100; coverage of the interval and of one SE."""
    torch.manual_seed(0)
    for s in (0.2, 0.8):
        log_w = s * torch.randn(5000, 100, dtype=torch.float64) - s**2 / 2
        means = [log_mean(row) for row in log_w]
        inside = sum(low <= 0 <= high for low, high in (mean.interval for mean in means if mean.interval))
        near = sum(abs(mean.value) <= (mean.standard_error or 0) for mean in means)
        assert inside / 5000 > 0.994
        assert 0.62 < near / 5000 < 0.74


def test_a_tail_that_has_not_shown_is_believed_in() -> None:
    """The standard error is never below the one of log-normal weights with the variance seen."""
    log_w = torch.linspace(-2, 2, 100, dtype=torch.float64)
    error = log_mean(log_w).standard_error
    assert error is not None
    assert error >= math.sqrt(math.expm1(float(log_w.var())) / 100)


def defensive(share: float, num: int) -> Tensor:
    """Log-weights of N(0, 1) against a mixture of it, with a share, and N(12, 1): at most -log(share), log E[w] = 0."""
    x = torch.randn(num, dtype=torch.float64)
    x = torch.where(torch.rand(num) < share, x, x + 12)
    log_p, log_other = -(x**2) / 2, -((x - 12) ** 2) / 2
    return log_p - torch.logaddexp(log_p + math.log(share), log_other + math.log1p(-share))


def powers(m: float, num: int) -> Tensor:
    """Logs of u^m of uniform u, with log E[w] = -log(1 + m)."""
    return m * torch.rand(num, dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("draw", "truth"),
    [(lambda: defensive(0.5, 1000), 0.0), (lambda: powers(3, 1000), -math.log(4))],
    ids=["defensive", "powers"],
)
def test_a_long_lower_tail_leaves_the_error_bar(draw: Callable[[], Tensor], truth: float) -> None:
    """400 repetitions; misses at 0.3 %: more than 7 with a chance of 3e-5. Both are refused as log-normal weights."""
    means = [log_mean(draw()) for _ in range(400)]
    assert all(mean.interval and not mean.warnings("more") for mean in means)
    assert sum(low <= truth <= high for low, high in (mean.interval for mean in means if mean.interval)) >= 393
    near = sum(abs(mean.value - truth) <= (mean.standard_error or 0) for mean in means) / 400
    assert abs(near - 0.683) < 4 * math.sqrt(0.683 * 0.317 / 400)


@pytest.mark.parametrize("num", [100, 1000])
def test_log_normal_weights_are_not_taken_for_ones_with_an_end(num: int) -> None:
    """s = 3, of whose weights 0.01 % count: their error bar stays refused."""
    log_w = 3 * torch.randn(200, num, dtype=torch.float64)
    assert all(log_mean(row).interval is None for row in log_w)


def test_a_single_heavy_weight_takes_the_interval_away() -> None:
    mean = log_mean(torch.tensor([50.0] + [0.0] * 99, dtype=torch.float64))
    assert mean.interval is None
    assert "too few for an error bar" in mean.warnings("more")[0]


def test_reciprocal_mirrors() -> None:
    mean = log_mean(torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64))
    mirrored = mean.reciprocal()
    assert mean.interval is not None
    assert mirrored.interval == (-mean.interval[1], -mean.interval[0])
    assert mirrored.value == -mean.value


def test_markov_bound_is_that_of_the_design() -> None:
    assert pytest.approx(5.81, abs=0.005) == MARKOV
