r"""Perplexity: to how many equally likely words a model's uncertainty about each word amounts.

.. math:: \mathrm{per\ document}: \exp\Big(-\frac{1}{N} \sum_n \frac{\log p(x_n)}{L_n}\Big), \qquad
          \mathrm{per\ corpus}: \exp\Big(-\frac{\sum_n \log p(x_n)}{\sum_n L_n}\Big)

of N examples of L_n words. The first weighs every document alike, as publications on topic models do, the second every
word. Of a lower bound on log p, both are upper bounds.

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030: per document.
    Jurafsky and Martin (2025), Speech and language processing, chapter 3: per corpus.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.values import Bias, Estimate, Kind, half_width
from dgmrun.protocols.words import SMOOTHING

TURNED: dict[Kind, Kind] = {"lower_bound": "upper_bound", "upper_bound": "lower_bound"}
"""What is known of a perplexity from what is known of log p, where it is not the same."""
TURNED_BIAS: dict[Bias, Bias] = {"down": "up", "up": "down"}
MOST = 700.0
"""Largest logarithm of a perplexity: beyond it, numbers are infinite."""


def perplexities(log_prob: Tensor, estimate: Estimate, sizes: Tensor, unigram: Tensor) -> dict[str, Estimate]:
    """Returns the perplexities per document (under the empty name) and per corpus, that of the unigram beside each.

    Standard errors are those of the exponents, the second a ratio of sums (delta method), times the perplexity.

    Args:
        log_prob: log p of each example in nats, or bounds.
        estimate: their mean.
        sizes: number of words of each example.
        unigram: log p of each example by the unigram.
    """
    log_prob, sizes = log_prob.double(), sizes.to(log_prob.device)
    shares = {"": sizes.reciprocal(), "-corpus": (1 / sizes.mean()).expand_as(sizes)}
    return {
        name: _perplexity(log_prob, estimate, sizes if name else None, share, float((unigram.to(share) * share).mean()))
        for name, share in shares.items()
    }


def _perplexity(log_prob: Tensor, log_p: Estimate, sizes: Tensor | None, share: Tensor, unigram: float) -> Estimate:
    """Returns exp(-mean(log p share)), with `sizes` where the shares are of a ratio of sums."""
    rates, num = log_prob * share, len(log_prob)
    mean, half = float(rates.mean()), None
    value, error = _exp(-mean), None
    if log_p.standard_error is not None and num > 1:
        unseen = unseen_share(num, log_p.diagnostics.get("population")) / num
        residuals = rates if sizes is None else rates - mean * sizes * share
        of_mean = max(0.0, log_p.standard_error**2 - float(log_prob.var()) * unseen)  # of log Z, if of anything
        spread = math.sqrt(float(residuals.var()) * unseen + of_mean * float(share.mean()) ** 2)
        error, half = value * spread, half_width(spread, num)
    return replace(
        log_p,
        quantity="perplexity",
        value=value,
        standard_error=error,
        interval=None if half is None else _ends(mean, half, log_p),
        kind=TURNED.get(log_p.kind, log_p.kind),
        bias=TURNED_BIAS.get(log_p.bias, log_p.bias),
        settings={**log_p.settings, "per": "document" if sizes is None else "corpus", "unigram_smoothing": SMOOTHING},
        diagnostics={"unigram": _exp(-unigram)},
        warnings=[*log_p.warnings],
        curve=[],
    )


def _ends(mean: float, half: float, log_p: Estimate) -> tuple[float | None, float | None]:
    """Returns the ends of the interval, open where that of log p is."""
    below, above = (_exp(-(mean + sign * half)) for sign in (1, -1))
    low, high = (None, None) if log_p.interval is None else log_p.interval
    return None if high is None else below, None if low is None else above


def _exp(log_perplexity: float) -> float:
    return math.exp(min(log_perplexity, MOST))
