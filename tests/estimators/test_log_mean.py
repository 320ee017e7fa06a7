"""The error bar of a log mean weight where its distribution is known."""

from __future__ import annotations

import math

import pytest
import torch

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
