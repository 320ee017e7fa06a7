"""What results.json says of a training: how far it is, and what was changed on the way."""

from __future__ import annotations

from typing import Any

from dgmrun.data.source import InMemorySource
from dgmrun.objectives.base import Objective
from dgmrun.run import Run
from dgmrun.stages._setup import Setup
from dgmrun.stages.train.limits import Limits

CHANGEABLE = ("device", "trainer", "checkpoint")


def is_complete(run: Run, limits: Limits) -> bool:
    """Whether the run has all its steps already."""
    return run.results.get("train", {}).get("steps", 0) >= limits.max_steps


def record(run: Run, objective: Objective, data: InMemorySource, limits: Limits) -> None:
    """Writes how far the training is."""
    epochs = objective.iteration / len(data)
    examples = round(epochs * data.examples)
    progress = {
        "steps": objective.iteration,
        "epochs": epochs,
        "examples": examples,
        "seconds": limits.elapsed,
        "examples_per_second": examples / limits.elapsed,
        "complete": limits.reason in ("steps", "time", "patience"),
        "ended_by": limits.reason,
    }
    run.merge({"train": progress})


def record_changes(run: Run, setup: Setup) -> None:
    """Notes which settings of the training differ from the saved ones, at which step, and saves them."""
    saved, train = run.config, run.results.get("train", {})
    changes = {
        f"{section}.{key}": [saved[section].get(key), value]
        for section in CHANGEABLE
        for key, value in setup.config[section].items()
        if saved[section].get(key) != value
    }
    entries: list[Any] = train.get("history", [])
    if changes:
        entries = [*entries, {"step": train.get("steps", 0), "changes": changes}]
        run.write_config(saved | {section: setup.config[section] for section in CHANGEABLE})
    run.merge({"train": {"history": entries}})
