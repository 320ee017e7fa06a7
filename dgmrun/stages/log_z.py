"""`log_z`: the log partition function by every method that can be had, each with its interval, and where they disagree.

Through a proposal the figure is of the model's run and of the proposal's, and is written to both.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from dgmrun.estimators.proposal import Proposal
from dgmrun.pictures import found
from dgmrun.protocols.methods import LogZMethod
from dgmrun.report import text
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.workbench.inputs import other
from dgmrun.workbench.selection import Subject, is_student, methods, subject
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that have a normalised density and no teacher, methods that do not fit, and data that are gone."""
    methods(setup)
    if is_student(setup):
        other(setup, "objective.teacher").setup.splits  # noqa: B018, refuses data that are not there


def main(run: Run, setup: Setup) -> None:
    """Estimates log Z by every selected method and records it."""
    measure(run, setup, methods(setup))


def measure(run: Run, setup: Setup, selected: Mapping[str, LogZMethod]) -> dict[str, dict[str, Any]]:
    """log Z by some methods, recorded, shown and drawn; each is compared with what is known of the same weights."""
    about = subject(run, setup)
    (target, its_setup), seed = about.target, setup.config["seed"]
    of, model, base_logits = target.identity(), its_setup.trained_model(target), its_setup.base_logits
    through, proposal = None, None
    if about.proposal is not None:
        through = about.proposal.run.identity()
        proposal = Proposal(about.proposal.model, model, base_logits, seed)
    both, entries = _writable(about, run), {}
    for name, method in selected.items():
        started = time.perf_counter()
        with seeded(seed, "log_z", name):
            estimate = method(model, base_logits, proposal)
        entry = estimate.to_dict() | {"of": of, "proposal": through if method.needs_proposal else None}
        entry["seconds"] = time.perf_counter() - started
        entry["warnings"] += disagreements(name, entry, found.entries(target.results, "log_z", of["weights_sha256"]))
        for each in both if method.needs_proposal else [target]:
            each.record("log_z", name, entry)
        entries[name] = entry
        log.info(text.estimate("log_z", name, entry))
    if proposal is not None and proposal.drawn:
        _write_draws(both, of["weights_sha256"], proposal)
    _draw(both, target, proposal is not None and bool(proposal.drawn))
    return entries


def _writable(about: Subject, run: Run) -> list[Run]:
    """The runs that a figure through a proposal is written to: both, as far as they let us.

    A student's run keeps the figures of its own teacher alone.
    """
    both = [about.target.run]
    if about.proposal is not None and about.proposal.may_measure(about.target.run):
        both.append(about.proposal.run)
    for each in list(both):
        if each.path != run.path and not os.access(each.path, os.W_OK):
            log.warning("warning: %s cannot be written to: the figures are in %s alone", each.path, run.path)
            both.remove(each)
    return both


def _write_draws(both: Sequence[Run], of: str, proposal: Proposal) -> None:
    """Both log-densities at the samples of both, the newest draws, and the sha256 of the weights of the model."""
    *_, draws = proposal.drawn.values()
    arrays = {
        f"{name}_{side}": tensor.cpu().numpy()
        for side, densities in draws._asdict().items()
        for name, tensor in densities._asdict().items()
    }
    for each in both:
        each.write_arrays("proposal.npz", of=numpy.frombuffer(bytes.fromhex(of), numpy.uint8), **arrays)


def _draw(both: Sequence[Run], target: Run, is_drawn: bool) -> None:
    """How every method that the runs have came to its figure and, where it has drawn now, how near the proposal is."""
    from dgmrun.pictures import drawing, evidence

    of = target.weights_sha256()
    known = found.entries(target.results, "log_z", of)
    for each in both:
        if not (entries := found.entries(each.results, "log_z", of)):
            continue
        figures = {"log_z": evidence.curves({"": found.curves(entries)})}
        if is_drawn:
            try:
                figures["proposal"] = evidence.densities({"": found.points(each, of, found.best(known | entries))})
            except ValueError as error:
                log.warning("warning: there is no picture of the proposal: %s", error)
        drawing.write(each, "log_z", figures)


def disagreements(name: str, entry: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """In words, each other method whose 99.7 % interval of the same log Z does not meet that of a new entry."""
    return [
        f"`log_z.{one}` disagrees beyond both intervals: at least one did not converge, "
        "raise num_temperatures, or train the student longer"
        for one, its in known.items()
        if one != name and not _meet(entry["interval"], its.get("interval"))
    ]


def _meet(a: tuple[float | None, float | None] | None, b: tuple[float | None, float | None] | None) -> bool:
    if a is None or b is None:
        return True
    return not (_below(a[1], b[0]) or _below(b[1], a[0]))


def _below(high: float | None, low: float | None) -> bool:
    return high is not None and low is not None and high < low - 1e-6
