r"""Groups of runs that differ in nothing but the seed, compared by the spread of their scores over seeds.

    SE^2 = var(s_a) / n_a + var(s_b) / n_b,    t = (mean(s_a) - mean(s_b)) / SE

with one score s for each of the n seeds of a group and the degrees of freedom of Welch (1947, The generalization of
'Student's' problem when several different population variances are involved). As the best group is known only once
all are seen, the 99.7 % are those of all pairs of groups at once, by Bonferroni's inequality.

This is about settings: what another seed would have given. `paired` is about trained models.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dgmrun.protocols.values import half_width
from dgmrun.report.paired import Ground, Scored


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed and were scored by the same method, at least one."""

    runs: Sequence[Scored]

    @cached_property
    def scores(self) -> list[float]:
        """The score of each seed; of a seed with several runs, their mean."""
        by_seed: dict[str | None, list[float]] = {}
        for run in self.runs:
            by_seed.setdefault(run.entry.settings.get("seed"), []).append(run.figure.value)
        return list(map(statistics.fmean, by_seed.values()))

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.scores)

    @cached_property
    def mean(self) -> float:
        """Mean score of the seeds."""
        return statistics.fmean(self.scores)

    @cached_property
    def standard_error(self) -> float | None:
        """Standard error of the mean over seeds; None for one seed, whose spread nobody knows."""
        return statistics.stdev(self.scores) / math.sqrt(self.seeds) if self.seeds > 1 else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """99.7 % interval of the mean over seeds, by Student's t; None for one seed."""
        if self.standard_error is None:
            return None
        half = half_width(self.standard_error, self.seeds)
        return self.mean - half, self.mean + half


class Difference(NamedTuple):
    """Difference of the means of two groups; its error and half-width are None if one of them has one seed.

    Where the scores of all seeds are the same, the error is 0 and the half-width None.
    """

    value: float
    standard_error: float | None
    half_width: float | None

    @property
    def resolved(self) -> bool | None:
        """Whether the 99.7 % interval leaves 0 out; None if nobody knows."""
        return None if self.half_width is None else abs(self.value) > self.half_width


class Row(NamedTuple):
    """A group, and its difference to the best one; None for the best itself."""

    group: Group
    difference: Difference | None


def rows(ground: Ground) -> list[Row]:
    """Returns the groups of runs scored on the same examples, best first."""
    members: dict[object, list[Scored]] = {}
    for scored in ground:
        members.setdefault((scored.entry.setting, scored.label), []).append(scored)
    best, *others = sorted(map(Group, members.values()), key=lambda group: group.mean, reverse=True)
    pairs = math.comb(len(members), 2)
    return [Row(best, None), *(Row(group, difference(group, best, pairs)) for group in others)]


def difference(one: Group, other: Group, pairs: int = 1) -> Difference:
    """Returns the difference of two groups, at the level that holds for so many pairs at once."""
    value, errors = one.mean - other.mean, (one.standard_error, other.standard_error)
    if None in errors:
        return Difference(value, None, None)
    squares = [error**2 for error in errors if error is not None]
    if not any(squares):  # the seed changes nothing, so that it tells nothing
        return Difference(value, 0.0, None)
    error = math.sqrt(sum(squares))
    return Difference(value, error, half_width(error, _freedom(one, other, squares) + 1, pairs))


def _freedom(one: Group, other: Group, squares: Sequence[float]) -> float:
    """Returns Welch's degrees of freedom; of unequal numbers of seeds the smaller, with which no spread deceives.

    For 2 seeds beside 10, Welch's would call equal settings different 8 times as often as stated.
    """
    if one.seeds != other.seeds:
        return min(one.seeds, other.seeds) - 1
    return float(sum(squares) ** 2 / sum(square**2 for square in squares) * (one.seeds - 1))
