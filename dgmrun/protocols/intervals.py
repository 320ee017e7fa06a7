"""Intervals of probabilities."""

from __future__ import annotations

from dgmrun.protocols.values import ONE_SIDED, half_width


def binomial_interval(hits: int, num: int) -> tuple[float, float]:
    """Returns the 99.7 % interval of a probability, which covers at least as often, whatever the probability.

    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
    """
    from scipy.special import betaincinv

    low = float(betaincinv(hits, num - hits + 1, 1 - ONE_SIDED)) if hits else 0.0
    return low, float(betaincinv(hits + 1, num - hits, ONE_SIDED)) if hits < num else 1.0


def share_interval(share: float, error: float, num: int, least: int) -> tuple[float, float]:
    """Returns the 99.7 % interval of a share whose standard error is 0, and wrong, at 0 and 1.

    It is the union of that by Student's t and that of the binomial law, within [0, 1].

    Args:
        share: the share.
        error: its standard error.
        num: number of rows of which it is the share, to the nearest row.
        least: number of independent rows by which the error is known.
    """
    low, high = binomial_interval(round(share * num), num)
    half = half_width(error, least)
    return max(0.0, min(low, share - half)), min(1.0, max(high, share + half))
