"""Stages of a run: a module for each here, and a YAML file for each in configs/stage.

The YAML file has the sections of the configuration that belong to the stage. The module postpones heavy imports until
they are needed, and defines

    DEPENDS             further sections of the configuration on which its results depend
    WRITES              patterns of the files that it writes to the run directory
    check(setup)        refuses invalid configurations before the run directory is created
    main(run, setup)    executes the stage and records its figures in the run directory
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import every_section, sections, words
from dgmrun.pictures import ENDINGS
from dgmrun.pictures import FORMATS as FORMATS
from dgmrun.run.directory import Run

OF_A_RUN = ("run", "stages", "device", "logger", "resume", "data_dir", "name", "tags", "notes", "report")
"""Keys of config.yaml that may be overridden for an existing run."""

FIGURES = tuple(f"figures/*.{ending}" for ending in ENDINGS)
"""Pictures of a run, and the numbers they were drawn from."""

FOUND_ANEW = ("dataset.path", "objective.teacher")
"""Keys of an existing run that may be given another path, at which the same data and weights must be, by sha256."""


def stage(word: Any) -> Any:
    """Returns the module of a stage.

    Raises:
        Mistake: there is no such stage.
    """
    if word not in words():
        raise Mistake(f"`stages` must be among {', '.join(words())}, but has {word}{nearest(str(word), words())}")
    return import_module(f"dgmrun.stages.{word}")


def changeable() -> set[str]:
    """Returns the sections and keys at the top that may be overridden for an existing run."""
    return {*OF_A_RUN, *every_section()}


def finish(run: Run, word: str, config: Mapping[str, Any]) -> None:
    """Records that a stage was completed for the current weights with these settings."""
    run.merge({"stages": {word: _state(run, word, config)}})


def unfinished(run: Run, config: Mapping[str, Any]) -> list[str]:
    """Returns those of the configured stages that were not completed for the current weights with these settings."""
    results = run.results
    finished = dict(results.get("stages", {}))
    if not results.get("train", {}).get("complete") or config["trainer"] != run.config["trainer"]:
        finished.pop("train", None)
    return [word for word in config["stages"] if finished.get(word, "") != _state(run, word, config)]


def _state(run: Run, word: str, config: Mapping[str, Any]) -> str | None:
    """Returns a hash of what the results of a stage depend on: the weights and, for an evaluation, its settings."""
    if not run.weights_file.exists():
        return None
    names = () if word == "train" else (*sections(word), *stage(word).DEPENDS)
    settings = [word, run.weights_sha256(), *(config.get(name) for name in names)]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
