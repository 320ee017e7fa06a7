"""Other runs that a configuration refers to: teachers of a student, the proposal for log Z, and that of features."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from dgmrun.errors import Mistake
from dgmrun.estimators.density import NORMALISED
from dgmrun.objectives.distillation.teacher import Mixture, Teacher
from dgmrun.paths import inputs, value_at
from dgmrun.protocols.models import TractableDensity, UnnormalisedDensity, roles
from dgmrun.protocols.values import Estimate
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, figures
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

TEACHER, PROPOSAL, FEATURES = "objective.teacher", "log_z.proposal", "fidelity.features"


class Other(NamedTuple):
    """Another run, with its configuration."""

    run: Run
    setup: Setup

    @property
    def model(self) -> nn.Module:
        """Its trained model, on the device of the current run."""
        return self.setup.trained_model(self.run)

    @property
    def name(self) -> str:
        """The name of its model's option."""
        return str(self.setup.config["choices"]["model"])

    def may_measure(self, target: Run) -> bool:
        """Returns whether log Z of `target` may be recorded in this run: a student records only that of its teacher."""
        teachers = _taught_by(self.run)
        return not teachers or target.weights_sha256() in teachers


def others(setup: Setup, key: str) -> list[Other]:
    """Returns the runs named by `key`, to be used by the run of `setup`.

    Raises:
        Mistake: one is not a run, is not done, has no weights, is the current run, or models different examples.
    """
    found = _others(setup, key)
    for its in found:
        for (what, one), ours in zip(_likeness(its.setup).items(), _likeness(setup).values(), strict=True):
            if one != ours and None not in (one, ours):
                must = f"`{key}` must be a run of the {what} {ours}, as this run has"
                raise Mistake(f"{must}, but {its.run.path} has {one}")
    return found


def _others(setup: Setup, key: str) -> list[Other]:
    """Returns the runs named by `key`, whatever they model.

    Raises:
        Mistake: one is not a run, is not done, has no weights, or is the current run.
    """
    value = value_at(setup.config, key)
    named = value if isinstance(value, list) else [value]
    for path in named:
        if not isinstance(path, str):
            raise Mistake(f"`{key}` must be a run directory, but is {path!r}")
    if not named:
        raise Mistake(f"`{key}` must be a run directory, or several, but is empty")
    return [_other(setup, key, place, path) for place, path in enumerate(named)]


def teachers(setup: Setup) -> list[Other]:
    """Returns the teachers of a run, to be shown beside it; none if one of them is no longer where it was.

    Raises:
        Mistake: one is there, but cannot be used; see `others`.
    """
    paths = [given.path for given in inputs(setup.config) if given.key == TEACHER]
    known = [] if setup.run is None else [given.get("run") for given in Run(setup.run).results.get("inputs", [])]
    are_there = (
        os.path.exists(path) and (setup.run is None or path in known or is_unchanged(setup, place, Run(Path(path))))
        for place, path in enumerate(paths)
    )
    return others(setup, TEACHER) if paths and all(are_there) else []


def has_known_teacher(setup: Setup) -> bool:
    """Returns whether a run is the student of one teacher, whose density is known, and which is still what it was."""
    found = teachers(setup) if "teacher" in setup.config["objective"] else []
    if len(found) != 1 or setup.config["objective"].get("teacher_weights") is not None:
        return False
    if setup.run is not None and not is_unchanged(setup, 0, found[0].run):
        return False
    density = roles(build.target(found[0].setup.config["model"])).density
    is_estimated = density is UnnormalisedDensity and _best_log_z(found[0].run) is not None
    return density is TractableDensity or is_estimated


def other(setup: Setup, key: str, hint: str | None = None) -> Other:
    """Returns the only run named by `key`, to be used by the run of `setup`.

    Raises:
        Mistake: there are several, or it cannot be used; see `others`.
    """
    return _only(others(setup, key), key, hint)


def unlike(setup: Setup, key: str) -> Other:
    """Returns the only run named by `key`, which may model something else than the run of `setup`.

    Raises:
        Mistake: there are several, or it cannot be used; see `others`.
    """
    return _only(_others(setup, key), key, None)


def _only(found: list[Other], key: str, hint: str | None) -> Other:
    if len(found) > 1:
        raise Mistake(f"`{key}` must be one run here, but is {len(found)}", hint)
    return found[0]


def _other(setup: Setup, key: str, place: int, path: str) -> Other:
    run = Run.open(path, key)
    if setup.run is not None and run.path.samefile(setup.run):
        raise Mistake(f"`{key}` must be another run, but is {run.path} itself")
    status = run.results.get("status")
    if not run.weights_file.exists():
        raise Mistake(f"`{key}` must be a run that has weights, but {run.path} has none")
    if status != "done" and not (key == TEACHER and is_unchanged(setup, place, run)):
        raise Mistake(
            f"`{key}` must be a run that is done, but {run.path} is {status}",
            f"dgmrun run={shlex.quote(str(run.path))} goes on with it",
        )
    saved = run.config
    named = {group: saved.get(group) for group in ("model", "dataset", "choices")}
    if not all(isinstance(node, dict) for node in named.values()):
        raise Mistake(f"`{key}` must be a run with model, dataset and choices, but {run.path} has not all of them")
    sampled = {**setup.config["sample"], "steps": None, "sampler": "ancestral"}  # as it was trained to be sampled
    config = {**setup.config, **named, "given": saved.get("given"), "sample": sampled}
    build.check_targets(config, setup.search_path)
    return Other(run, Setup(config, setup.search_path))


def _likeness(setup: Setup) -> dict[str, Any]:
    """Returns properties that must agree between runs that score the same examples; None matches anything."""
    event, dataset = setup.event, setup.config["dataset"]
    return {
        "number of dimensions": event.dims,
        "kind": event.kind,
        "size": event.size,
        "transform": dataset["transform"],
        "pixel order": dataset["pixel_order"] if len(setup.arrangement.x.shape) > 1 else None,
        "given": setup.config["given"] or "nothing",
        "context": None if setup.context is None else build.written(setup.context),
    }


def is_unchanged(setup: Setup, place: int, run: Run) -> bool:
    """Returns whether the teacher at this index has the same weights as when the run of `setup` was created."""
    recorded = _taught_by(Run(setup.run)) if setup.run is not None else []
    return recorded[place : place + 1] == [run.weights_sha256()]


def _taught_by(run: Run) -> list[Any]:
    """Returns the sha256 of the weights of each teacher of a run, as they were when it was created."""
    return [given.get("weights_sha256") for given in run.results.get("inputs", []) if given.get("role") == "teacher"]


def check_teachers(setup: Setup) -> None:
    """Refuses to resume a training whose teachers have changed.

    Raises:
        Mistake: the weights of a teacher have changed.
    """
    if setup.run is None or "teacher" not in setup.config["objective"]:
        return
    for place, its in enumerate(others(setup, TEACHER)):
        if not is_unchanged(setup, place, its.run):
            raise Mistake(
                f"`{TEACHER}` must be what it was, but the weights of {its.run.path} have another sha256",
                f"dgmrun weights={shlex.quote(str(setup.run))} {TEACHER}=... starts a new run",
            )


def teacher(setup: Setup, dtype: torch.dtype) -> Teacher | Mixture:
    """Returns the teacher named by `objective.teacher`, with its best estimate of log Z; or a mixture of several.

    Its parameters have the given dtype, that of the student.

    Raises:
        Mistake: a teacher cannot be sampled, or the number of mixture weights is wrong.
    """
    found = [_teacher(its, dtype) for its in others(setup, TEACHER)]
    weights = setup.config["objective"].get("teacher_weights")
    if len(found) == 1 and weights is None:
        return found[0]
    return build.checked(Mixture.of, found, weights)


def _teacher(its: Other, dtype: torch.dtype) -> Teacher:
    model = its.model.to(dtype)
    known = roles(type(model))
    if known.sampler is None:
        raise Mistake(f"`{TEACHER}` must be a run whose model can be sampled, but its model is {its.name}")
    log_z = NORMALISED if known.density is TractableDensity else _best_log_z(its.run)
    return Teacher(model, log_z)


def _best_log_z(run: Run) -> Estimate | None:
    """Returns the best estimate of log Z with an interval: without warnings if possible, and with the least error."""
    claimed = [figure for figure in log_zs(run).values() if figure.interval and figure.standard_error is not None]
    return min(claimed, key=lambda one: (bool(one.warnings), one.standard_error or 0.0), default=None)


def log_zs(run: Run) -> dict[str, Figure]:
    """Returns the log Z figures of a run's current weights, by method."""
    weights = run.weights_sha256()
    found = figures(run.results).get("log_z", {})
    return {name: figure for name, figure in found.items() if figure.of.weights_sha256 == weights}
