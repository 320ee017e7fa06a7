"""log Z of an unnormalised density: estimates, records, plots, and warnings where methods disagree.

An estimate through a proposal is recorded in the run of the model and in that of the proposal.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from torch import Tensor

from dgmrun.estimators.joint import Guided, Joint
from dgmrun.estimators.proposal import Proposal
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import UnnormalisedDensity, roles
from dgmrun.report import text
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure
from dgmrun.workbench.inputs import PROPOSAL, log_zs, other
from dgmrun.workbench.selection import Subject, check_proposal, subject
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")


def unnormalised(model: Any, setup: Setup) -> tuple[Any, Tensor]:
    """Returns the unnormalised part of a model, and training data for it."""
    if roles(type(model)).density is UnnormalisedDensity:
        return model, setup.training_x
    part, values = model.top(setup.seen(setup.scored("train"), next(model.parameters()).device).x)
    return part, values


def measure(run: Run, setup: Setup, selected: Mapping[str, LogZMethod]) -> dict[str, Figure]:
    """Estimates log Z by the selected methods, records and plots the figures, and compares them with earlier ones."""
    about = subject(run, setup)
    (target, its_setup), seed = about.target, setup.config["seed"]
    of = target.identity()
    whole = its_setup.trained_model(target)
    model, x = unnormalised(whole, its_setup)
    through, proposal = None, None
    if about.proposal is not None:
        through = about.proposal.run.identity()
        proposal = _through(about.proposal.model, whole, model, x, seed)
    both, found = _writable(about, run), {}
    for name, method in selected.items():
        started = time.perf_counter()
        with seeded(seed, "log_z", name), bar(f"log_z.{name}"):
            estimate = method(model, x, proposal)
        doubts = estimate.warnings + disagreements(name, estimate.interval, log_zs(target))
        figure = Figure.made(
            dataclasses.replace(estimate, warnings=doubts),
            of=of,
            proposal=through if method.needs_proposal else None,
            seconds=time.perf_counter() - started,
        )
        for each in both if method.needs_proposal else [target]:
            each.record("log_z", name, figure)
        found[name] = figure
        log.info(text.line("log_z", name, figure))
    if proposal is not None and proposal.drawn:
        _write_samples(both, of.weights_sha256, proposal)
    _draw(both, target, proposal is not None and bool(proposal.drawn), setup.formats)
    return found


def _through(q: Any, whole: Any, part: Any, x: Tensor, seed: int) -> Proposal:
    """Returns samples of a proposal and of a model; of a model with a top, both with its latent layers."""
    if part is whole:
        return Proposal(q, whole, x, seed)
    joint = Joint(whole, x.new_zeros(1, *whole.event.shape))
    return Proposal(Guided(q, joint), joint, x, seed)


def stored(run: Run, setup: Setup, name: str, method: LogZMethod) -> Figure:
    """Returns the recorded log Z by a method for the current weights, estimating it first if there is none.

    Raises:
        Mistake: there is none, and no proposal through which to estimate it.
    """
    figure = log_zs(run).get(name)
    settings = dataclasses.asdict(method)  # type: ignore[call-overload]
    if figure is None or not settings.items() <= figure.settings.items() or not _is_through(figure, setup, method):
        check_proposal(name, method, setup.config["log_z"]["proposal"] is not None)
        figure = measure(run, setup, {name: method})[name]
    return figure


def _is_through(figure: Figure, setup: Setup, method: LogZMethod) -> bool:
    """Returns whether a recorded log Z was estimated through the configured proposal, if there is one."""
    if not method.needs_proposal or setup.config["log_z"]["proposal"] is None:
        return True
    named = other(setup, PROPOSAL)
    return figure.proposal is not None and figure.proposal.weights_sha256 == named.run.weights_sha256()


def _writable(about: Subject, run: Run) -> list[Run]:
    """Returns the runs in which to record a figure through a proposal: both, if they are writable.

    A student's run records only figures of its own teacher.
    """
    both = [about.target.run]
    if about.proposal is not None and about.proposal.may_measure(about.target.run):
        both.append(about.proposal.run)
    for each in list(both):
        if each.path != run.path and not os.access(each.path, os.W_OK):
            log.warning("warning: %s cannot be written to: the figures are in %s alone", each.path, run.path)
            both.remove(each)
    return both


def _write_samples(both: Sequence[Run], of: str, proposal: Proposal) -> None:
    """Writes both log-densities at the latest samples of both densities, and the sha256 of the model's weights."""
    *_, samples = proposal.drawn.values()
    arrays = {
        f"{name}_{side}": tensor.cpu().numpy()
        for side, densities in samples._asdict().items()
        for name, tensor in densities._asdict().items()
    }
    for each in both:
        each.write_arrays("proposal.npz", of=numpy.frombuffer(bytes.fromhex(of), numpy.uint8), **arrays)


def _draw(both: Sequence[Run], target: Run, is_drawn: bool, formats: Sequence[str]) -> None:
    """Plots the convergence of all recorded methods and, if samples were drawn now, the proposal against the model."""
    from dgmrun.pictures import drawing, evidence, found

    of = target.weights_sha256()
    known = found.of_weights(target.results, "log_z", of)
    for each in both:
        if not (entries := found.of_weights(each.results, "log_z", of)):
            continue
        plots: dict[str, drawing.Picture] = {}
        known_curves = found.curves(entries)
        if known_curves.methods or known_curves.exact is not None:
            with drawing.harmless("log Z"):
                plots["log_z"] = evidence.curves({"": known_curves})
        if is_drawn:
            with drawing.harmless("the proposal"):
                plots["proposal"] = evidence.densities({"": found.points(each, of, found.best(known | entries))})
        drawing.write(each, "log_z", plots, formats)


Interval = tuple[float | None, float | None] | None


def disagreements(name: str, interval: Interval, known: Mapping[str, Figure]) -> list[str]:
    """Returns a warning for each other method whose 99.7 % interval does not overlap that of a new estimate."""
    return [
        f"`log_z.{one}` disagrees beyond both intervals: at least one did not converge, "
        "raise num_temperatures, or train the student longer"
        for one, its in known.items()
        if one != name and not _meet(interval, its.interval)
    ]


def _meet(a: Interval, b: Interval) -> bool:
    return a is None or b is None or not (_below(a[1], b[0]) or _below(b[1], a[0]))


def _below(high: float | None, low: float | None) -> bool:
    return high is not None and low is not None and high < low - 1e-6
