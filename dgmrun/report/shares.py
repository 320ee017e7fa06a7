r"""Runs side by side by which examples they have right: paired differences of shares such as accuracies.

The interval of a difference is that of the bootstrap: examples are drawn anew, with replacement, and the two runs are
scored on the same ones. Where few examples differ, it also holds the exact interval given how many do, w of m for the
first run, of which the probability is that of a sign test; the bootstrap would know no others. It is about two trained
models, and says nothing of another seed of their settings.

References:
    Efron and Tibshirani (1993), An introduction to the bootstrap, section 13.3: the percentile interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.values import ONE_SIDED
from dgmrun.report.paired import Ground, Scored, same, scores
from dgmrun.report.runs import Entry
from dgmrun.report.terminal import warn

if TYPE_CHECKING:
    from numpy import ndarray

DRAWS = 20_000
"""Number of draws of the examples: 27 are beyond each end of the interval."""
FEW = 25
"""Number of examples that must differ for the bootstrap alone."""


def grounds(entries: Iterable[Entry]) -> list[Ground]:
    """Returns finished runs by the examples on which a share was measured, where there are at least two.

    Runs are comparable if they agree in what those compared by likelihood must agree in. Stale figures are left out.
    """
    found: dict[tuple[object, ...], Ground] = {}
    for entry in entries:
        for label, figure in entry.figures.items():
            facts = same(entry, figure.split) if figure.split and figure.known.is_count else None
            if facts is None or not entry.is_finished or figure.is_stale(entry.weights):
                continue
            name = label.partition("@")[0]
            right = scores(entry, f"{figure.split}-{name}.npz", "value")
            if right is not None and _are_counts(entry, name, right[0]):
                key = (*facts, name, right[1].tobytes())
                found.setdefault(key, []).append(Scored(entry, name, figure, *right))
    return [ground for ground in found.values() if len(ground) > 1]


def _are_counts(entry: Entry, name: str, values: ndarray) -> bool:
    import numpy

    if is_right := bool(numpy.isin(values, (0, 1)).all()):
        return is_right
    warn(f"{name} of {entry.name} is left out: its values must be 0 or 1")
    return False


def difference(one: Scored, other: Scored) -> tuple[float, float, float]:
    """Returns the difference of two shares of the same examples, and both ends of its 99.7 % interval."""
    import numpy

    values, often = numpy.unique(one.values - other.values, return_counts=True)
    total = int(often.sum())
    drawn = numpy.random.default_rng(0).multinomial(total, often / total, DRAWS) @ values / total
    low, high = map(float, numpy.quantile(drawn, (1 - ONE_SIDED, ONE_SIDED)))
    wins, differ = int(often[values > 0].sum()), int(often[values != 0].sum())
    if differ < FEW:
        least, most = _of_few(wins, differ, total)
        low, high = min(low, least), max(high, most)
    return float(values @ often) / total, low, high


def _of_few(wins: int, differ: int, total: int) -> tuple[float, float]:
    """Returns the ends (2 q - 1) m / N, with q that of the binomial; if none differ, how many may have done so."""
    if not differ:
        most = binomial_interval(0, total)[1]
        return -most, most
    least, most = binomial_interval(wins, differ)
    return (2 * least - 1) * differ / total, (2 * most - 1) * differ / total
