r"""The log of a mean weight, with an error bar that covers and the doubts about it.

The error bar believes the worse of two variances of :math:`w / \bar w`: the one seen, and the one that log-normal
weights with the same :math:`\mathrm{var}(\log w)` would have. A lucky draw, whose heavy tail has not shown yet, shrinks
the first and leaves the second; a rare huge weight inflates the first. What no function of the weights can see is a
mode that no chain has reached: every error bar here is conditional on the chains having been everywhere.

Calibrated on random RBMs by `tests/estimators/test_calibration.py`; figures in RESULTS.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64
from scipy.stats import t as student_t
from torch import Tensor

CONFIDENCE = 0.997
MARKOV = -math.log(1 - CONFIDENCE)
"""P(w >= E[w] / 0.003) <= 0.003 for w >= 0: the log mean is above `value - MARKOV` at 99.7 %, always."""
INTERVAL = "value +- t(0.9985, number of weights - 1) standard errors"
POINTS = 12
DOUBTFUL_SHARE, LEAST_SHARE = 1 / 3, 1 / 50
"""Shares of the samples: a pessimistic effective sample size below the first is warned of, below the second has no
error bar."""


class LogMean(NamedTuple):
    """The log of a mean weight, in nats.

    Args:
        value: log of the mean.
        standard_error: of `value`.
        interval: 99.7 %. This and the standard error are None where too few weights count to claim one.
        effective_sample_size: (sum w)^2 / sum w^2.
        pessimistic_sample_size: the same by the worse of the two variances, N / (1 + relative variance).
        variance: of the log-weights.
        samples: how many weights, N.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    effective_sample_size: float
    pessimistic_sample_size: float
    variance: float
    samples: int

    def reciprocal(self) -> LogMean:
        """The log of the inverse of the mean."""
        interval = None if self.interval is None else (-self.interval[1], -self.interval[0])
        return self._replace(value=-self.value, interval=interval)

    def warnings(self, cure: str) -> list[str]:
        """Doubts in words, each with what cures it."""
        if self.pessimistic_sample_size >= DOUBTFUL_SHARE * self.samples:
            return []
        claim = "" if self.interval else ", too few for an error bar"
        counting = max(1.0, self.pessimistic_sample_size)
        return [f"effective sample size is at most {counting:.2g} of {self.samples}{claim}: {cure}"]


def log_mean(log_w: Float64[Tensor, "samples"]) -> LogMean:
    r""":math:`\log \frac{1}{N} \sum_n w_n`, unbiased before the logarithm, in nats.

    With :math:`r = \max(\mathrm{var}(w / \bar w),\ e^{\mathrm{var}(\log w)} - 1)` the standard error is
    :math:`\sqrt{r / N}` (delta method) and the interval :math:`\pm\, t_{N-1}` of it.
    """
    num = len(log_w)
    value = torch.logsumexp(log_w, 0) - math.log(num)
    relative_weight = (log_w - value).exp()
    relative_variance = float(torch.maximum(relative_weight.var(), torch.expm1(log_w.var())))
    error = math.sqrt(relative_variance / num)
    pessimistic = num / (1 + relative_variance)
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, num - 1)) * error
    is_known = pessimistic >= LEAST_SHARE * num
    return LogMean(
        value=float(value),
        standard_error=error if is_known else None,
        interval=(float(value) - half, float(value) + half) if is_known else None,
        effective_sample_size=float(num**2 / (relative_weight**2).sum()),
        pessimistic_sample_size=pessimistic,
        variance=float(log_w.var()),
        samples=num,
    )


def curve(
    log_w: Float64[Tensor, "samples"], of: Callable[[LogMean], LogMean] = lambda mean: mean
) -> list[tuple[int, float, float | None, float | None]]:
    """The estimate by the first so many weights: their number, value, and the ends of the interval, if there is one."""
    means = [of(log_mean(log_w[:num])) for num in counts(len(log_w))]
    return [(mean.samples, mean.value, *(mean.interval or (None, None))) for mean in means]


def counts(most: int, least: int = 10) -> list[int]:
    """Up to 13 numbers of samples from `least` to `most`, in equal ratios."""
    ratio = max(1.0, most / least)
    return sorted({min(most, round(least * ratio ** (step / POINTS))) for step in range(POINTS + 1)})
