"""Another run that a configuration names: the teacher of a student, the proposal that measures a log Z."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from dgmrun.errors import Mistake
from dgmrun.estimators.density import NORMALISED
from dgmrun.objectives.distillation.teacher import Teacher
from dgmrun.protocols.models import Sampler, TractableDensity, UnnormalisedDensity
from dgmrun.protocols.values import Estimate
from dgmrun.run.directory import Run
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

LIKE = ("number of dimensions", "support", "transform", "pixel order")
"""In what two runs agree that score the same examples."""


class Other(NamedTuple):
    """A run that is done, and what its configuration names."""

    run: Run
    setup: Setup

    @property
    def model(self) -> nn.Module:
        """Its trained model, on the device of the run that asks."""
        return self.setup.trained_model(self.run)

    def may_measure(self, target: Run) -> bool:
        """Whether its run has room for a log Z of `target`: a student's is for that of its teacher."""
        teacher = self.run.config.get("objective", {}).get("teacher")
        return teacher is None or (os.path.exists(teacher) and target.path.samefile(teacher))


def other(setup: Setup, key: str) -> Other:
    """The run that `key` names, to be asked by the run of `setup`.

    Raises:
        Mistake: it is none, is not done, has no weights, is this run itself, or is of other dimensions.
    """
    section, _, leaf = key.partition(".")
    path = setup.config[section][leaf]
    if not isinstance(path, str):
        raise Mistake(f"`{key}` must be a run directory, but is {path!r}")
    run = Run.open(path, key)
    if setup.config["run"] is not None and run.path.samefile(setup.config["run"]):
        raise Mistake(f"`{key}` must be another run, but is {run.path} itself")
    status = run.results.get("status")
    if not run.weights_file.exists():
        raise Mistake(f"`{key}` must be a run that has weights, but {run.path} has none")
    if status != "done" and not is_unchanged(setup, run):
        raise Mistake(
            f"`{key}` must be a run that is done, but {run.path} is {status}",
            f"dgmrun run={shlex.quote(str(run.path))} goes on with it",
        )
    saved = run.config
    named = {group: saved.get(group) for group in ("model", "dataset", "choices")}
    if not all(isinstance(node, dict) for node in named.values()):
        raise Mistake(f"`{key}` must be a run with model, dataset and choices, but {run.path} has not all of them")
    config = {**setup.config, **named}
    build.check_targets(config, setup.search_path)
    found = Setup(config, setup.search_path)
    for what, its, ours in zip(LIKE, _kind(found), _kind(setup), strict=True):
        if its != ours and None not in (its, ours):
            raise Mistake(f"`{key}` must be a run of the {what} {ours}, as `dataset` has, but {run.path} has {its}")
    return Other(run, found)


def is_unchanged(setup: Setup, run: Run) -> bool:
    """Whether another run still has the weights that the run of `setup` was made with."""
    mine = Run(Path(setup.config["run"])).results if setup.config["run"] is not None else {}
    recorded = [given.get("weights_sha256") for given in mine.get("inputs", []) if given.get("role") == "teacher"]
    return run.weights_sha256() in recorded


def check_teacher(setup: Setup) -> None:
    """Refuses to go on with another teacher than the training began with.

    Raises:
        Mistake: its weights are no longer what they were.
    """
    if setup.config["run"] is None or "teacher" not in setup.config["objective"]:
        return
    run = other(setup, "objective.teacher").run
    if not is_unchanged(setup, run):
        raise Mistake(
            f"`objective.teacher` must be what it was, but the weights of {run.path} have another sha256",
            f"dgmrun weights={shlex.quote(str(setup.config['run']))} objective.teacher=... starts a new run",
        )


def _kind(setup: Setup) -> tuple[Any, ...]:
    event, dataset = setup.event, setup.config["dataset"]
    return event.dims, event.support, dataset["transform"], dataset["pixel_order"] if len(event.shape) > 1 else None


def teacher(setup: Setup) -> Teacher:
    """The model that `objective.teacher` names, and the best log Z that its run has.

    Raises:
        Mistake: it has no sampler.
    """
    found = other(setup, "objective.teacher")
    model = found.model
    if isinstance(model, TractableDensity):
        return Teacher(model, NORMALISED)
    if not isinstance(model, (Sampler, UnnormalisedDensity)):
        name = found.setup.config["choices"]["model"]
        raise Mistake(f"`objective.teacher` must be a run whose model can be sampled, but its model is {name}")
    return Teacher(model, _best_log_z(found.run))


def _best_log_z(run: Run) -> Estimate | None:
    """Of the estimates of the present weights that claim an interval: one that is not warned of, and errs least."""
    current = [
        Estimate.from_dict(entry)
        for entry in run.results.get("log_z", {}).values()
        if is_whole(entry) and entry["of"].get("weights_sha256") == run.weights_sha256()
    ]
    claimed = [estimate for estimate in current if estimate.interval and estimate.standard_error is not None]
    return min(claimed, key=lambda one: (bool(one.warnings), one.standard_error or 0.0), default=None)


def is_whole(entry: dict[str, Any]) -> bool:
    """Whether a stored log Z says all that is needed to use it."""
    needed = ("value", "kind", "bias", "settings", "of", "diagnostics", "warnings")
    return all(part.name in entry for part in dataclasses.fields(Estimate)) and None not in map(entry.get, needed)
