r"""Shares of sampled strings: which are valid, different, and new.

Of S samples, n are valid, D of these different, and A of the different ones in no training string:

.. math::  \mathrm{validity} = n / S, \qquad \mathrm{uniqueness} = D / n, \qquad \mathrm{novelty} = A / D

Strings that mean the same, such as two spellings of a molecule, are one. A string that fills all its places has no end,
and is judged as the string that it is.

Validity is a share of independent samples, with the interval of the binomial law. The others are no such shares: a
sample can repeat another. Their standard error is that of the jackknife over the valid samples,

.. math::  \mathrm{SE}^2 = \frac{n - 1}{n} \sum_i (\theta_{(i)} - \bar\theta)^2,

with the value without sample i, which is too large rather than too small in the mean. It is 0, and wrong, where no
sample repeats another or all do; the interval therefore is the union of three (by Student's t) of these errors on both
sides, and of the interval of the binomial law as if D of n, or A of D, were a share. Of samples of uniform, geometric
and Zipf's laws, and of one with a single frequent string, it misses at most as many as 99.7 % intervals may, where the
jackknife alone misses up to all.

References:
    Polykovskiy et al. (2020), Molecular sets (MOSES), https://arxiv.org/abs/1811.12823, section on metrics.
    Efron and Stein (1981), The jackknife estimate of variance, Annals of Statistics 9, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from dgmrun.estimators.sampling import scored
from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.language import Language
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import Sampler
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Bias, Estimate, Evidence, half_width

NOTHING = "no sample is valid, so that nothing is known"
LONE = "one valid sample has no standard error: increase {key}"


@dataclass(frozen=True)
class StringMethod(FidelityMethod):
    """What the methods share that measure a share of sampled strings.

    Args:
        num_samples: number of samples of the model.

    Raises:
        ValueError: there are none; the message names the key.
    """

    requires: ClassVar[type] = Sampler
    needs: ClassVar[str | None] = "language"
    is_per_example: ClassVar[bool] = False
    quantity: ClassVar[str]
    num_samples: int = 1000

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"`fidelity.{self.quantity}.num_samples` must be at least 1, but is {self.num_samples}")

    def drawn(self, model: Any, evidence: Evidence) -> tuple[list[str], Language]:
        """Returns samples of a model as they are spelled, and what they mean."""
        assert evidence.language is not None
        return spelled(evidence.language, scored(model, evidence, self.num_samples)), evidence.language


def spelled(language: Language, x: Tensor) -> list[str]:
    """Returns strings [num, length] as they are spelled, each up to its end, or whole if it has none."""
    return [language.spell(row[:end]) for row, end in zip(x.tolist(), x.ne(0).cumprod(1).sum(1).tolist(), strict=True)]


def valid(strings: Sequence[str], language: Language) -> list[str]:
    """Returns the valid ones of strings, those that mean the same spelled alike."""
    is_valid = language.is_valid
    return [language.canonical(each) for each in tracked(strings) if is_valid is None or is_valid(each)]


def ratio(
    quantity: str, hits: int, num: int, without: Sequence[tuple[int, int, int]], bias: Bias, settings: dict[str, Any]
) -> Estimate:
    """Returns the estimate of hits / num, with an interval by the jackknife and by the binomial law.

    Args:
        quantity: what it is.
        hits: numerator.
        num: denominator.
        without: numerator and denominator without one sample, and the number of samples of which they are so.
        bias: direction of the bias.
        settings: settings of the method, of which `num_samples` is one.
    """
    samples = sum(times for *_, times in without)
    error, (low, high) = None, binomial_interval(hits, num) if num else (0.0, 1.0)
    value = hits / num if num else 0.0
    if samples > 1:
        error = _jackknife([(part / whole, times) for part, whole, times in without if times])
        half = half_width(error, samples)
        low, high = max(0.0, min(low, value - half)), min(1.0, max(high, value + half))
    lone = LONE.format(key=f"`fidelity.{quantity}.num_samples`")
    return Estimate(
        quantity,
        value=value,
        standard_error=error,
        interval=(low, high),
        kind="estimate",
        bias=bias,
        samples=settings["num_samples"],
        settings=settings,
        diagnostics={"valid": samples, "hits": hits, "of": num},
        warnings=[] if samples > 1 else [lone if samples else NOTHING],
    )


def _jackknife(without: Sequence[tuple[float, int]]) -> float:
    """Standard error of an estimate, from its values without one sample, and the number of samples for each."""
    num = sum(times for _, times in without)
    mean = sum(value * times for value, times in without) / num
    return math.sqrt((num - 1) / num * sum(times * (value - mean) ** 2 for value, times in without))
