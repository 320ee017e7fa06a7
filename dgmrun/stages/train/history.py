"""Progress of a training, and changes of its settings, as recorded in results.json."""

from __future__ import annotations

from typing import Any

from dgmrun.objectives.base import Objective
from dgmrun.protocols.sources import Source
from dgmrun.run.directory import Run
from dgmrun.stages.train.limits import Limits, optimizer_steps
from dgmrun.workbench.setup import Setup

CHANGEABLE = ("device", "trainer", "checkpoint")


def record(
    run: Run,
    source: Source,
    limits: Limits,
    objective: Objective,
    weights_step: int,
    complete: bool = False,
) -> None:
    """Records the progress of the training; `weights_step` is the step of weights.safetensors."""
    examples = source.examples(objective.iteration)
    progress = {
        "steps": objective.iteration,
        "weights_step": weights_step,
        "epochs": source.epochs(objective.iteration),
        "examples": examples,
        "seconds": limits.elapsed,
        "examples_per_second": examples / max(limits.elapsed, 1e-9),
        "complete": complete,
        "ended_by": limits.reason,
        "processes": source.world_size,
        "warnings": objective.doubts(),
        "checkpoint_bytes": run.size("checkpoints"),
    }
    run.merge({"train": progress})


def record_changes(run: Run, setup: Setup, batches: int) -> None:
    """Records which training settings differ from the saved ones, and from which step, and saves them.

    A schedule that covers another number of optimiser steps than before counts as one of them; `batches` is the number
    of batches in an epoch.
    """
    saved, train = run.config, run.results.get("train", {})
    changes = {
        f"{section}.{key}": [saved[section].get(key), value]
        for section in CHANGEABLE
        for key, value in setup.config[section].items()
        if saved[section].get(key) != value
    }
    schedule = setup.config["schedule"]
    was, steps = (optimizer_steps(config["trainer"], batches) for config in (saved, setup.config))
    if schedule is not None and schedule["horizon"] is not None and was != steps:
        changes[f"schedule.{schedule['horizon']}"] = [was, steps]
    entries: list[Any] = train.get("history", [])
    if changes:
        entries = [*entries, {"step": train.get("steps", 0), "changes": changes}]
        run.write_config(saved | {section: setup.config[section] for section in CHANGEABLE})
    run.merge({"train": {"history": entries, "complete": False}})
