"""Estimates of likelihoods that exceed log p: beside lower bounds over the same examples, and beside 0."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dgmrun.protocols.contrast import cures
from dgmrun.protocols.values import Event, half_width
from dgmrun.report.paired import file_of
from dgmrun.run import untrusted
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, figures

log = logging.getLogger("dgmrun")
MARK = "it exceeds "
ROUNDING = 1e-3
"""Nats above 0 that a log-probability may have by rounding."""


def impossible(event: Event, figure: Figure) -> list[str]:
    """Warns of a log-likelihood of what has probabilities, not densities, that is above 0 beyond its error."""
    error, num = figure.standard_error or 0.0, figure.examples or 0
    margin = half_width(error, num) if num > 1 else 0.0
    if event.is_continuous or figure.quantity != "log_likelihood" or figure.value <= margin + ROUNDING:
        return []
    return [
        f"it is above 0, as no log-probability of {event.kind} data is, and so too high by {figure.value:.3f} nats or "
        "more; train longer or with a lower optimizer.lr, or choose other settings or likelihood.methods"
    ]


def flag(run: Run, suspects: Iterable[str], model: object) -> None:
    """Adds a warning to each recorded figure of these methods that exceeds a lower bound of the same weights.

    It does so if the mean difference over the examples of both is above 0 by more than the half-width of its 99.7 %
    interval. Which of both was measured first does not matter.
    """
    known = figures(run.results).get("likelihood", {})
    fresh = {label: each for label, each in known.items() if not each.is_stale(run.weights_sha256())}
    named = {*suspects}
    for label, figure in fresh.items():
        if label.partition("@")[0] not in named:
            continue
        found = [
            told
            for other, bound in fresh.items()
            if bound.kind in ("lower_bound", "exact") and bound.split == figure.split
            if (told := _excess(run, (label, figure), other, model)) is not None
        ]
        kept = [each for each in figure.warnings if not each.startswith(MARK)]
        if found + kept != figure.warnings:
            run.record("likelihood", label, replace(figure, warnings=found + kept))
            for told in found:
                log.warning("warning: likelihood.%s: %s", label, told)


def _excess(run: Run, suspect: tuple[str, Figure], other: str, model: object) -> str | None:
    """Returns by how much a figure exceeds another one, over the examples of both; None if not beyond the error."""
    label, figure = suspect
    mine, its = (_scores(run, figure.split, each) for each in (label, other))
    common = mine.keys() & its.keys()
    if len(common) < 2:
        return None
    differences = [mine[place] - its[place] for place in sorted(common)]
    mean = math.fsum(differences) / len(common)
    variance = math.fsum((each - mean) ** 2 for each in differences) / (len(common) - 1)
    error = math.sqrt(variance / len(common))
    if not mean > half_width(error, len(common)):
        return None
    return (
        f"{MARK}likelihood.{other} by {mean:.3f} +- {error:.3f} nats over the same examples: its ratio net understates "
        f"the divergence of the posterior, unless that has not converged; {cures('train longer', model)}"
    )


def _scores(run: Run, split: str | None, label: str) -> dict[int, float]:
    """Returns the log-probability of each example by its index; nothing if there is no file that can be read."""
    try:
        arrays: Any = untrusted.arrays(run.path / "per_example" / file_of(split, f"likelihood.{label}"))
        return dict(zip(arrays["index"].tolist(), arrays["log_prob"].tolist(), strict=True))
    except (OSError, ValueError, KeyError):
        return {}
