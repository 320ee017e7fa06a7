"""`log_z`: the log partition function by every method that can be had, each with its interval, and where they disagree.

Through a proposal the figure is of the model's run and of the proposal's, and is written to both.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from typing import Any

from dgmrun.estimators.proposal import Proposal
from dgmrun.protocols import LogZMethod
from dgmrun.report import text
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._log_z import Subject, methods, subject
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that have a normalised density and no teacher, and methods that do not fit."""
    methods(setup)


def main(run: Run, setup: Setup) -> None:
    """Estimates log Z by every selected method and records it."""
    for message in disagreements(measure(run, setup, methods(setup))):
        log.warning("warning: %s", message)


def measure(run: Run, setup: Setup, selected: Mapping[str, LogZMethod]) -> dict[str, dict[str, Any]]:
    """log Z by some methods, recorded, shown and drawn."""
    about = subject(run, setup)
    (target, its_setup), seed = about.target, setup.config["seed"]
    model = its_setup.trained_model(target)
    proposal = None if about.proposal is None else Proposal(about.proposal.model, seed)
    entries = {}
    for name, method in selected.items():
        started = time.perf_counter()
        with seeded(seed, "log_z", name):
            estimate = method(model, its_setup.base_logits, proposal)
        entry = {
            **estimate.to_dict(),
            "of": target.identity(),
            "proposal": about.proposal.run.identity() if about.proposal and method.needs_proposal else None,
            "seconds": time.perf_counter() - started,
        }
        for each in _runs(about, method):
            each.record("log_z", name, entry)
        entries[name] = entry
        log.info(text.estimate("log_z", name, entry))
    if proposal is not None and proposal.drawn:
        _write_draws(about, proposal)
    _draw(about, proposal is not None and bool(proposal.drawn))
    return entries


def _write_draws(about: Subject, proposal: Proposal) -> None:
    """Both log-densities at the samples of both, the newest draws, into both runs."""
    *_, draws = proposal.drawn.values()
    arrays = {
        f"{name}_{side}": tensor.cpu().numpy()
        for side, densities in draws._asdict().items()
        for name, tensor in densities._asdict().items()
    }
    for each in (about.target, about.proposal):
        if each is not None:
            each.run.write_arrays("proposal.npz", **arrays)


def _draw(about: Subject, is_drawn: bool) -> None:
    """How every method that the runs have came to its figure and, where it has drawn now, how near the proposal is."""
    from dgmrun.report import drawing, evidence, found

    of = about.target.run.weights_sha256()
    known = found.log_z(about.target.run.results, of)
    for each in (about.target, about.proposal):
        if each is None or not (entries := found.log_z(each.run.results, of)):
            continue
        figures = {"log_z": evidence.curves({"": found.curves(entries)})}
        if is_drawn:
            try:
                figures["proposal"] = evidence.densities({"": found.points(each.run, found.best(known))})
            except ValueError as error:
                log.warning("warning: there is no picture of the proposal: %s", error)
        drawing.write(each.run, "log_z", figures)


def _runs(about: Subject, method: LogZMethod) -> list[Run]:
    """Those that a figure is written to."""
    both = [about.target, about.proposal] if method.needs_proposal else [about.target]
    return [other.run for other in both if other is not None]


def disagreements(entries: dict[str, dict[str, Any]]) -> list[str]:
    """In words, each pair of methods whose 99.7 % intervals do not meet."""
    return [
        f"`log_z.{one}` and `log_z.{other}` disagree beyond their intervals: at least one did not converge, "
        "raise num_temperatures, or train the student longer"
        for (one, a), (other, b) in itertools.combinations(entries.items(), 2)
        if not _meet(a["interval"], b["interval"])
    ]


def _meet(a: tuple[float | None, float | None] | None, b: tuple[float | None, float | None] | None) -> bool:
    if a is None or b is None:
        return True
    return not (_below(a[1], b[0]) or _below(b[1], a[0]))


def _below(high: float | None, low: float | None) -> bool:
    return high is not None and low is not None and high < low - 1e-6
