"""The stage words, a file or folder each here and a file each in configs/stage.

The YAML has the stage's sections of the configuration. The module says in light words what the stage is, imports what
is heavy only when it works, and has

    DEPENDS             sections beside its own on which its outcome depends
    WRITES              patterns of the files that it leaves in a run's directory
    check(setup)        refuses what a run cannot have, before it is made
    main(run, setup)    works on a claimed run and writes its figures there
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from dgmrun.errors import Mistake, nearest
from dgmrun.paths import every_section, sections, value_at, words
from dgmrun.run.directory import Run

OF_A_RUN = ("run", "stages", "device", "resume", "data_dir", "name", "tags", "notes")
"""Keys of config.yaml that a command may change of a run that there is."""


def stage(word: Any) -> Any:
    """The module of a stage word.

    Raises:
        Mistake: there is no such stage.
    """
    if word not in words():
        raise Mistake(f"`stages` must be among {', '.join(words())}, but has {word}{nearest(str(word), words())}")
    return import_module(f"dgmrun.stages.{word}")


def changeable() -> set[str]:
    """Keys that a command may change of a run that there is."""
    return {*OF_A_RUN, *every_section()}


def check_least(setup: Any, least: Mapping[str, int]) -> None:
    """Refuses whole numbers of a stage's section that are too small; null is none.

    Raises:
        Mistake: names the key.
    """
    for key, bound in least.items():
        value = value_at(setup.config, key)
        if value is not None and (type(value) is not int or value < bound):
            raise Mistake(f"`{key}` must be a whole number and at least {bound}, but is {value}")


def finish(run: Run, word: str, config: Mapping[str, Any]) -> None:
    """Notes that a stage is finished with the present weights, by these settings."""
    run.merge({"stages": {word: _state(run, word, config)}})


def unfinished(run: Run, config: Mapping[str, Any]) -> list[str]:
    """Those of the stages in `config` that are not finished with the present weights, by its settings."""
    results = run.results
    finished = dict(results.get("stages", {}))
    if not results.get("train", {}).get("complete") or config["trainer"] != run.config["trainer"]:
        finished.pop("train", None)
    return [word for word in config["stages"] if finished.get(word, "") != _state(run, word, config)]


def _state(run: Run, word: str, config: Mapping[str, Any]) -> str | None:
    """What the outcome of a stage depends on: the weights and, of an evaluation, its settings."""
    if not run.weights_file.exists():
        return None
    names = () if word == "train" else (*sections(word), *stage(word).DEPENDS)
    settings = [word, run.weights_sha256(), *(config.get(name) for name in names)]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
