"""Intervals of probabilities."""

from __future__ import annotations

from dgmrun.protocols.values import ONE_SIDED


def binomial_interval(hits: int, num: int) -> tuple[float, float]:
    """Returns the 99.7 % interval of a probability, which covers at least as often, whatever the probability.

    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
    """
    from scipy.special import betaincinv

    low = float(betaincinv(hits, num - hits + 1, 1 - ONE_SIDED)) if hits else 0.0
    return low, float(betaincinv(hits + 1, num - hits, ONE_SIDED)) if hits < num else 1.0
