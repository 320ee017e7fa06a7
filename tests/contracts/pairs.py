"""Every model with every objective that fits it, each trained once a session; and what two trainings have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dgmrun.cli import main
from dgmrun.paths import options
from dgmrun.protocols.models import (
    LatentVariableModel,
    Sampler,
    TractableDensity,
    UnnormalisedDensity,
    fits,
    roles,
)
from dgmrun.workbench import build
from tests.conftest import narrow, of_other_data, small_data, with_teacher
from tests.contracts.halfway.sitecustomize import before_renames, copier

Pair = tuple[str, str]
TINY = (
    "optimizer=sgd dataset.batch_size=4 trainer.max_steps=8 "
    "trainer.validate_every_n_steps=3 checkpoint.every_n_steps=2 schedule=linear "
    "optimizer.ema=0.9 optimizer.clip_norm=1.0 optimizer.momentum=0.5 trainer.patience=100 trainer.accumulate=3"
).split()
"""Two steps of the optimiser, four checkpoints, and validations between them.

Of the second checkpoint, after four batches, one gradient waits for the two that make a step with it.
"""
FEW = (
    "log_z.ais.num_temperatures=20 log_z.reverse_ais.num_temperatures=20 "
    "log_z.importance.num_samples=400 log_z.importance.num_chains=40 log_z.importance.burn_in=10 "
    "log_z.bridge.num_samples=400 log_z.bridge.num_chains=40 log_z.bridge.burn_in=10"
).split()


@cache
def pairs() -> list[Pair]:
    """Every model with every objective that fits it."""
    models = {name: yaml.safe_load(file.read_text())["model"] for name, file in options("model").items()}
    objectives = {name: yaml.safe_load(file.read_text()) for name, file in options("objective").items()}
    return [
        (model, objective)
        for model, node in models.items()
        for objective, other in objectives.items()
        if fits(build.target(node), build.target(other).requires)
        and not (model in of_other_data() and "teacher" in other)  # the teacher here is of binary data
    ]


def cover(model: str, objective: str) -> bool:
    """Whether a pair is one of those in which every model has its natural objective, and every objective two models."""
    natural = f"override /objective: {objective}\n" in options("model")[model].read_text()
    return natural or (model, objective) in [pair for pair in pairs() if pair[1] == objective][:2]


def is_wide(model: str, objective: str) -> bool:
    """Whether a pair is a student with convolutional networks, which takes several times as long as others."""
    is_student = "teacher" in options("objective")[objective].read_text()
    return is_student and bool(narrow(options("model")[model].read_text()))


def of_pairs(quick: Callable[[str, str], bool] = cover) -> pytest.MarkDecorator:
    """A test for every pair; what is not quick waits for `test-all`, and so do wide students."""
    cases = [pytest.param(*pair, marks=[] if quick(*pair) and not is_wide(*pair) else [SLOW]) for pair in pairs()]
    return pytest.mark.parametrize(("model", "objective"), cases)


SLOW = pytest.mark.slow
OF_TOYS = {"own"}
"""Objectives that no shipped model is trained by: tests/test_toys.py trains by them."""
assert {objective for _, objective in pairs()} | OF_TOYS == set(options("objective")), "an objective fits no model"


class Command:
    """How a pair is trained and evaluated.

    Args:
        model: its name.
        objective: its name.
        teacher: a run, for those that want one.
        more: settings beside those of every pair.
    """

    def __init__(self, model: str, objective: str, teacher: Path, *more: str) -> None:
        kind = build.target(yaml.safe_load(options("model")[model].read_text())["model"])
        others = with_teacher(objective, teacher)
        has_likelihood = roles(kind).density is not None
        scored, implicit = [], fits(kind, Sampler) and not has_likelihood
        if implicit:
            scored = ["fidelity.methods=[ratio]", "fidelity.ratio.trees=30"]
        elif fits(kind, LatentVariableModel):
            scored = ["likelihood.importance.num_samples=500"]
        trained_by = build.target(yaml.safe_load(options("objective")[objective].read_text()))
        if not trained_by.stops_by_watched and not fits(kind, TractableDensity):
            scored.append("trainer.patience=null")
        data = (*small_data(model), *narrow(options("model")[model].read_text()), *TINY, *FEW)
        self.training = (f"model={model}", f"objective={objective}", *others, *data, *scored, *more)
        has_log_z = fits(kind, UnnormalisedDensity) or any("teacher" in each for each in others)
        self.stages = ("log_z",) * has_log_z + ("likelihood",) * has_likelihood + ("fidelity",) * implicit


@dataclass
class Finished:
    """A training with its evaluation, and what it was like when it could have been killed.

    Args:
        run: its directory.
        cut: a copy from its sixth batch, when the newest checkpoint was of the fourth.
        command: what made it.
    """

    run: Path
    cut: Path
    command: Command
    results: dict[str, Any] = field(init=False)
    outcome: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.results = json.loads((self.run / "results.json").read_text(), parse_constant=pytest.fail)
        self.outcome = outcome(self.run)


class Store:
    """Finished trainings, each made when it is first asked for.

    Args:
        folder: where they lie.
        teacher: a run, for objectives that want one.
    """

    def __init__(self, folder: Path, teacher: Path) -> None:
        self.folder, self.teacher = folder, teacher
        self.finished: dict[tuple[str, ...], Finished] = {}

    def get(self, model: str, objective: str, *more: str) -> Finished:
        """The training of a pair, with settings beside those of every pair."""
        key = (model, objective, *more)
        if key not in self.finished:
            folder = self.folder / "-".join((model, objective, str(len(self.finished))))
            command = Command(model, objective, self.teacher, *more)
            with before_renames(copier(folder / "cut")):
                call(folder, *command.training, "train", *command.stages, f"hydra.run.dir={folder / 'run'}")
            self.finished[key] = Finished(folder / "run", folder / "cut", command)
        return self.finished[key]


def call(folder: Path, *argv: str) -> None:
    """`dgmrun ...` in this process and in this folder; it must succeed."""
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["dgmrun", *argv])
        assert main() == 0


def outcome(run: Path) -> dict[str, Any]:
    """Everything that exact resume promises, of a finished training."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    state["callbacks"].pop("Limits")  # seconds
    results = json.loads((run / "results.json").read_text())
    train = {key: results["train"][key] for key in ("steps", "epochs", "examples", "complete")}
    weights = {file.name: load_file(file) for file in run.glob("weights*.safetensors")}
    metrics = (run / "metrics.csv").read_text().splitlines()
    return {"state": state, "weights": weights, "train": train, "logged": logged(run), "metrics": metrics}


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of the training as TensorBoard reads it."""
    events = EventAccumulator(str(run))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith(("train/", "valid/"))]
    assert tags
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal to the bit."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b or (a != a and b != b), f"{where}: {a}, {b}"  # what is not a number differs from itself
