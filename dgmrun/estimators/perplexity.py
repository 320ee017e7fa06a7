r"""Perplexity: to how many equally likely words a model's uncertainty about each word amounts.

.. math:: \mathrm{per\ document}: \exp\Big(-\frac{1}{N} \sum_n \frac{\log p(x_n)}{L_n}\Big), \qquad
          \mathrm{per\ corpus}: \exp\Big(-\frac{\sum_n \log p(x_n)}{\sum_n L_n}\Big)

of N examples of L_n words. The first weighs every document alike, as Mnih and Gregor do, the second every word, as
Blei, Ng and Jordan do. Of a lower bound on log p, both are upper bounds. Examples without a word have none.

log p must be that of a sequence of words, as the unigram's is: a model of the counts themselves has the number of their
orders in it, too, and a lower perplexity for that reason alone.

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030: per document.
    Blei, Ng and Jordan (2003), Latent Dirichlet allocation, JMLR 3, section 7.1: per corpus.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.text import counted
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
    some = sizes > 0
    if not some.any():
        return {}
    warnings = [f"without {counted(int((~some).sum()), 'empty example')}"] * bool((~some).any())
    of_log_z = _of_log_z(log_prob, replace(estimate, warnings=[*estimate.warnings, *warnings]))
    log_prob, sizes, unigram = log_prob[some], sizes[some], unigram.to(log_prob)[some]
    return {
        "": _perplexity(Rates(log_prob / sizes, log_prob / sizes, sizes.reciprocal()), of_log_z, unigram, "document"),
        "-corpus": _perplexity(_of_ratio(log_prob, sizes), of_log_z, unigram, "corpus"),
    }


class Rates(NamedTuple):
    """What log perplexity is minus a mean of.

    Args:
        values: log p of each example times its share.
        residuals: numbers of which the mean of `values` has the standard error.
        shares: how much a nat of each example is of it, over the number of examples.
    """

    values: Tensor
    residuals: Tensor
    shares: Tensor


class Parts(NamedTuple):
    """The mean of log p, and which part of its errors is that of log Z: a standard error, and the half-widths."""

    log_p: Estimate
    error: float
    below: float | None
    above: float | None


def _of_ratio(log_prob: Tensor, sizes: Tensor) -> Rates:
    """Of the ratio R = sum log p / sum L: residuals (log p - R L) over the mean of L."""
    shares = (1 / sizes.mean()).expand_as(sizes)
    rates = log_prob * shares
    return Rates(rates, rates - rates.mean() * sizes * shares, shares)


def _of_log_z(log_prob: Tensor, log_p: Estimate) -> Parts:
    """Takes the errors of the mean over examples off those of log p."""
    error = _error(log_prob, log_p)
    half = half_width(error, len(log_prob)) if error else 0.0
    ends = (None, None) if log_p.interval is None else log_p.interval
    below, above = (None if end is None else _rest(end - log_p.value, half) for end in ends)
    return Parts(log_p, _rest(log_p.standard_error or 0.0, error), below, above)


def _error(residuals: Tensor, log_p: Estimate) -> float:
    """Standard error of a mean over examples; 0 of one example, or of a whole population."""
    num = len(residuals)
    unseen = unseen_share(num, log_p.diagnostics.get("population"))
    return float(residuals.std()) * math.sqrt(unseen / num) if num > 1 and unseen else 0.0


def _rest(length: float, part: float) -> float:
    return math.sqrt(max(0.0, length**2 - part**2))


def _perplexity(rates: Rates, parts: Parts, unigram: Tensor, per: str) -> Estimate:
    log_p, mean, share = parts.log_p, float(rates.values.mean()), float(rates.shares.mean())
    of_examples, is_known = _error(rates.residuals, log_p), log_p.standard_error is not None and -mean < MOST
    half = half_width(of_examples, len(rates.values)) if of_examples else 0.0
    low, high = (
        None if part is None else _exp(sign * math.hypot(half, part * share) - mean)
        for sign, part in ((-1, parts.above), (1, parts.below))
    )
    return replace(
        log_p,
        quantity="perplexity",
        value=_exp(-mean),
        standard_error=_exp(-mean) * math.hypot(of_examples, parts.error * share) if is_known else None,
        interval=(low, high) if is_known and log_p.interval is not None else None,
        kind=TURNED.get(log_p.kind, log_p.kind),
        bias=TURNED_BIAS.get(log_p.bias, log_p.bias),
        settings={**log_p.settings, "per": per, "unigram_smoothing": SMOOTHING},
        diagnostics={"unigram": _exp(-float((unigram * rates.shares).mean()))},
        warnings=[*log_p.warnings, *[f"it is above exp({MOST:.0f})"] * (-mean >= MOST)],
        curve=[],
    )


def _exp(log_perplexity: float) -> float:
    return math.exp(min(log_perplexity, MOST))
