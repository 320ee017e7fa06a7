r"""Rankings of trained models by likelihood, with paired differences over the same examples.

    d_n = log p_a(x_n) - log p_b(x_n),    SE^2 = var(d) / N + SE(log Z_a)^2 + SE(log Z_b)^2

The half-width of the interval of the difference combines those of the three parts likewise. The first part is 0 if the
examples are a whole population.

The difficulty of an example affects both runs and largely cancels in d, so that SE is far below the standard errors of
the two likelihoods. It does not include bias: bounds and estimates may be off by more. Nor does it know what another
seed would have given: it is about two trained models, not about two settings, which `seeds` compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dgmrun.protocols.values import half_width
from dgmrun.report.figures import at
from dgmrun.report.runs import Entry
from dgmrun.report.stale import renewal
from dgmrun.report.terminal import warn
from dgmrun.run import untrusted
from dgmrun.run.figures import Figure

if TYPE_CHECKING:
    from numpy import ndarray

FOUNDED = ("exact", "lower_bound", "estimate")
"""Kinds of figures that can be ranked, the most reliable first."""


@dataclass(frozen=True)
class Place:
    """A run in a ranking, and its difference to the first run (nats per example, negative if worse)."""

    entry: Entry
    label: str
    figure: Figure
    difference: float
    standard_error: float
    half_width: float

    @property
    def resolved(self) -> bool:
        """Whether the 99.7 % interval of the difference leaves 0 out."""
        return abs(self.difference) > self.half_width


@dataclass(frozen=True)
class Scored:
    """A run and a figure of it, with its label, and its values of the examples at `index`, of a likelihood log_prob."""

    entry: Entry
    label: str
    figure: Figure
    values: ndarray
    index: ndarray


Ground = list[Scored]
"""Runs scored on the same examples, whose likelihoods can be compared."""


def grounds(entries: Iterable[Entry]) -> list[Ground]:
    """Returns the runs that were scored on each split of each dataset.

    Runs are comparable only if they agree in the kind of data, transform and binarisation, in what is given, in the
    sha256 of the split and its contexts, and in the examples scored. Each run is compared by its most reliable figure
    that is neither stale nor an upper bound; runs that differ in nothing but the seed by the same one, if all of them
    have one.
    """
    found: dict[tuple[object, ...], Ground] = {}
    settings: dict[object, list[Entry]] = {}
    for entry in entries:
        settings.setdefault(entry.setting, []).append(entry)
    for members in settings.values():
        for split in dict.fromkeys(figure.split for one in members for figure in one.figures.values() if figure.split):
            label = _common(members, split)
            for entry in members:
                facts, scored = same(entry, split), _scored(entry, split, label)
                if facts is not None and scored is not None:
                    found.setdefault((*facts, scored.index.tobytes()), []).append(scored)
    return list(found.values())


def _common(entries: Sequence[Entry], split: str) -> str | None:
    """Returns the figure of all runs whose least reliable one is the most reliable; None if there is none."""
    every = [set(_candidates(entry, split)) for entry in entries]
    common = sorted(set.intersection(*every))
    return min(common, key=lambda label: max(_rank(entry.figures[label]) for entry in entries), default=None)


def ranking(ground: Ground) -> list[Place]:
    """Returns the runs, best first, with their differences to the best."""
    ordered = sorted(ground, key=lambda scored: scored.figure.value, reverse=True)
    return [Place(one.entry, one.label, one.figure, *_difference(one, ordered[0])) for one in ordered]


def same(entry: Entry, split: str) -> tuple[str, ...] | None:
    """Returns the facts in which runs scored on a split must agree to be compared; None if one is unknown."""
    dataset = entry.results.get("dataset")
    facts = [at(dataset, key) for key in ("kind", "transform", "binarisation")]
    given = (at(dataset, "given") or "nothing", at(dataset, "labels") or "")
    every = (split, *facts, *given, at(dataset, "splits", split, "sha256"))
    return every if all(isinstance(fact, str) for fact in every) else None


def _rank(figure: Figure) -> tuple[int, int, float]:
    """Ranks figures by kind, then by the number of warnings, then by standard error or, for lower bounds, by value."""
    error = math.inf if figure.standard_error is None else figure.standard_error
    nearest = -figure.value if figure.kind == "lower_bound" else error
    return FOUNDED.index(figure.kind), len(figure.warnings), nearest


def _scored(entry: Entry, split: str, label: str | None) -> Scored | None:
    """Returns the figure with this label, or else the most reliable one, that has stored scores."""
    every = sorted(_candidates(entry, split), key=lambda name: _rank(entry.figures[name]))
    for name in every if label is None else [label]:
        if (found := scores(entry, file_of(split, name))) is not None:
            return Scored(entry, name, entry.figures[name], *found)
    return None


def file_of(split: str | None, label: str) -> str:
    """Returns the name of the file in per_example/ that has the scores of a figure, given its `<word>.<label>`."""
    return f"{split}-{label.partition('.')[2].partition('@')[0]}.npz"


def obstacle(entry: Entry) -> str:
    """Says why a finished run is in no ranking."""
    known = {label: figure for label, figure in entry.figures.items() if figure.known.is_ranked}
    if not known:
        return "no likelihood was measured"
    fresh = {label: figure for label, figure in known.items() if not figure.is_stale(entry.weights)}
    if not fresh:
        step = at(entry.results, "train", "weights_step") or 0
        if step in (figure.of.step for figure in known.values()):
            return "its file of weights was changed or damaged since its likelihood was measured"
        command = renewal(entry.path, entry.results, entry.weights, among=("likelihood",))
        return f"its likelihood is stale: `{command}` renews it"
    ranked = {label: each.split for label, each in fresh.items() if label in _candidates(entry, each.split)}
    for label, split in ranked.items():
        if split is not None and same(entry, split) is not None:
            return f"per_example/{file_of(split, label)} is missing or damaged"
    lacking = "its results.json does not tell which examples were scored"
    return lacking if ranked else "an upper bound, or a figure without an interval, is not ranked"


def _candidates(entry: Entry, split: str | None) -> list[str]:
    return [
        label
        for label, figure in entry.figures.items()
        if figure.known.is_ranked
        and figure.split == split
        and figure.kind in FOUNDED
        and figure.interval not in (None, (None, None))
        and not figure.is_stale(entry.weights)
    ]


def scores(entry: Entry, name: str, of: str = "log_prob") -> tuple[ndarray, ndarray] | None:
    """Returns values of examples and their indices, ordered by index, of a file that a run has; None if it has none.

    Args:
        entry: the run.
        name: name of the file in per_example/.
        of: name of the values in it.
    """
    files = [file for file in (entry.path / "per_example").glob("*.npz") if file.name == name]
    return _read(files[0], of) if files else None


def _read(file: Path, of: str) -> tuple[ndarray, ndarray] | None:
    """Returns values and indices in a file; warns and returns None if it is unreadable."""
    import numpy

    try:
        arrays = untrusted.arrays(file)
        values, index = arrays[of].astype(numpy.float64), arrays["index"].astype(numpy.int64)
        index, order = numpy.unique(index, return_index=True)
        whole = values.ndim == 1 and values.shape == index.shape and len(index) > 1
        if whole and numpy.isfinite(values).all():
            return values[order], index
        reason = f"it must hold finite {of} [N] and distinct index [N], N > 1"
    except Exception as error:  # arrays of any kind and shape
        reason = str(error)
    warn(f"{file} is left out: {reason}")
    return None


def _difference(one: Scored, other: Scored) -> tuple[float, float, float]:
    """Returns the mean paired difference, its standard error and the half-width of its interval."""
    difference, num = one.values - other.values, len(one.values)
    examples = float(difference.std(ddof=1)) * math.sqrt(_unseen_share(one, other) / num)
    errors, widths = zip(*(_of_log_z(scored.figure) for scored in (one, other)), strict=True)
    return float(difference.mean()), math.hypot(examples, *errors), math.hypot(half_width(examples, num), *widths)


def _unseen_share(one: Scored, other: Scored) -> float:
    """Returns the share of a finite population that the examples leave out, if both figures are of such; else 1."""
    sizes = [scored.figure.diagnostics.get("population") or math.inf for scored in (one, other)]
    return max(0.0, 1 - len(one.index) / max(sizes))


def _of_log_z(figure: Figure) -> tuple[float, float]:
    """Returns the standard error of log Z and the half-width of its interval.

    The half-width is three standard errors if it was not recorded, and infinite if log Z claims no interval.
    """
    error = figure.diagnostics.get("standard_error_log_z")
    width = figure.diagnostics.get("half_width_log_z", 3 * (error or 0.0))
    return error or 0.0, math.inf if width is None else width
