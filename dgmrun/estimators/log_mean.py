r"""Log of a mean importance weight, with a conservative error bar and warnings.

The error bar uses the larger of two variances of :math:`w / \bar w`: the empirical one, and that of log-normal weights
with the same :math:`\mathrm{var}(\log w)`. If the heavy tail has not been sampled, the first is too small, but not the
second; a rare huge weight inflates the first. A large second one is left out if the upper tail ends at the largest
weights, by its Pareto shape: then :math:`\mathrm{var}(\log w)` is that of small weights, on which the mean does not
depend. No function of the weights can detect a mode that no chain has visited: every error bar here is conditional on
the chains having visited all modes.

Its coverage on random RBMs is tested in `tests/estimators/test_calibration.py` and reported in RESULTS.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64
from scipy.special import stdtrit
from torch import Tensor

from dgmrun.estimators.pareto import LEAST, pareto_k

CONFIDENCE = 0.997
MARKOV = -math.log(1 - CONFIDENCE)
"""By Markov's inequality, P(w >= E[w] / 0.003) <= 0.003 for w >= 0: log E[w] >= `value - MARKOV` at 99.7 %, always."""
INTERVAL = "value +- t(0.9985, number of weights - 1) standard errors"
POINTS = 12
DOUBTFUL_SHARE, LEAST_SHARE = 1 / 3, 1 / 50
"""Shares of the samples: if the pessimistic effective sample size is below the first, there is a warning; below the
second, no error bar."""


ENDED = -0.25
"""Pareto shape of the upper tail below which it has an end; log-normal weights, whose tail has none, hardly have it."""


class LogMean(NamedTuple):
    """Log of a mean weight, in nats.

    Args:
        value: log of the mean.
        standard_error: standard error of `value`; None if the effective sample size is too small.
        interval: 99.7 % interval of `value`; None if the effective sample size is too small.
        effective_sample_size: (sum w)^2 / sum w^2.
        pessimistic_sample_size: effective sample size by the larger variance, N / (1 + relative variance).
        variance: variance of the log-weights.
        samples: number of weights N.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    effective_sample_size: float
    pessimistic_sample_size: float
    variance: float
    samples: int

    def reciprocal(self) -> LogMean:
        """Returns the log of the reciprocal of the mean."""
        interval = None if self.interval is None else (-self.interval[1], -self.interval[0])
        return self._replace(value=-self.value, interval=interval)

    def warnings(self, cure: str) -> list[str]:
        """Returns warnings, each with its remedy `cure`."""
        if self.pessimistic_sample_size >= DOUBTFUL_SHARE * self.samples:
            return []
        claim = "" if self.interval else ", too few for an error bar"
        counting = max(1.0, self.pessimistic_sample_size)
        return [f"effective sample size is at most {counting:.2g} of {self.samples}{claim}: {cure}"]


def log_mean(log_w: Float64[Tensor, "samples"]) -> LogMean:
    r""":math:`\log \frac{1}{N} \sum_n w_n` in nats; the mean itself is unbiased.

    With :math:`r = \max(\mathrm{var}(w / \bar w),\ e^{\mathrm{var}(\log w)} - 1)`, the standard error is
    :math:`\sqrt{r / N}` by the delta method, and the half-width of the interval is :math:`t_{N-1}` standard errors. The
    second variance is left out if it is above 2, which causes a warning, but the upper tail has an end.
    """
    num = len(log_w)
    value = torch.logsumexp(log_w, 0) - math.log(num)
    relative_weight = (log_w - value).exp()
    log_normal = float(torch.expm1(log_w.var()))
    if DOUBTFUL_SHARE * (1 + log_normal) > 1 and _has_end(log_w):
        log_normal = 0.0
    relative_variance = max(float(relative_weight.var()), log_normal)
    error = math.sqrt(relative_variance / num)
    pessimistic = num / (1 + relative_variance)
    half = float(stdtrit(num - 1, (1 + CONFIDENCE) / 2)) * error
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


def _has_end(log_w: Float64[Tensor, "samples"]) -> bool:
    """Returns whether the upper tail of the weights has an end; a shape takes five weights in the upper fifth."""
    return len(log_w) >= 5 * LEAST and pareto_k(log_w) < ENDED


def curve(
    log_w: Float64[Tensor, "samples"], of: Callable[[LogMean], LogMean] = lambda mean: mean
) -> list[tuple[int, float, float | None, float | None]]:
    """Estimates from the first weights only: their number, the value, and both ends of the interval, if any."""
    means = [of(log_mean(log_w[:num])) for num in counts(len(log_w))]
    return [(mean.samples, mean.value, *(mean.interval or (None, None))) for mean in means]


def counts(most: int, least: int = 10) -> list[int]:
    """Up to 13 numbers of samples from `least` to `most`, geometrically spaced."""
    ratio = max(1.0, most / least)
    return sorted({min(most, round(least * ratio ** (step / POINTS))) for step in range(POINTS + 1)})
