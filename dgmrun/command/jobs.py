"""Jobs of a sweep: a run for each combination of settings, in a directory that is named by them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dgmrun.children import Child
from dgmrun.errors import Mistake
from dgmrun.paths import MADE_BY, leaves, literal, quoted, remove_empty, with_paths
from dgmrun.run.directory import CONFIG, Run, fingerprint
from dgmrun.stages import changeable, unfinished

_fingerprint = cache(fingerprint)
FIXED = ("run", "stages", "trainer")
"""Sections that may be overridden for an existing run, but in which a job must agree with the run in its directory."""


@dataclass
class Job:
    """One run of a sweep.

    Args:
        path: the run directory.
        config: the resolved configuration.
        overrides: the overrides of this job.
        state: what has become of it.
        error: why it is not done.
        seconds: how long it took.
        value: its validation, in a search.
        is_pruned: whether a search has ended it, as it validates worse than others.
        child: its process, while it runs.
    """

    path: Path
    config: dict[str, Any]
    overrides: list[str]
    state: str = "not started"
    error: str = ""
    seconds: float = 0.0
    value: float | None = None
    is_pruned: bool = False
    child: Child | None = field(default=None, repr=False)


def run_hash(config: Mapping[str, Any]) -> str:
    """Returns 12 hex digits of a hash of the settings that define a run; paths enter by the contents of their files.

    Raises:
        Mistake: there is nothing at a path.
    """
    named = with_paths({key: config[key] for key in MADE_BY}, _fingerprint)
    hashed = json.loads(json.dumps(named), parse_float=_number)
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:12]


def _number(text: str) -> float:
    """Converts integral numbers to integers, so that 1 and 1.0 have the same hash."""
    value = float(text)
    return int(value) if value.is_integer() else value


def unique(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs without repetitions.

    Raises:
        Mistake: two jobs differ, but only in settings that do not define a run.
    """
    kept: dict[Path, Job] = {}
    for job in jobs:
        other = kept.setdefault(job.path, job)
        if _made(other.config) != _made(job.config):
            apart = sorted(set(job.overrides) ^ set(other.overrides))
            key = apart[0].partition("=")[0]
            values = " ".join(one.partition("=")[2] for one in apart if one.startswith(f"{key}="))
            raise Mistake(
                f"`{key}` makes no other run and cannot be swept: {' and '.join(apart)} would share a directory",
                f"for value in {values}; do dgmrun ... {key}=$value; done",
            )
    return list(kept.values())


def _made(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "sweep"}


def prepared(job: Job, flags: Sequence[str]) -> list[str] | None:
    """Makes the directory of a job, and returns the arguments that execute its run; None if nothing is left to do.

    They open the run, with those settings that differ from the saved ones.
    """
    run = Run.prepare(job.path, job.config)
    saved = dict(leaves(Run.open(job.path).config))
    stages = unfinished(run, job.config)
    if not stages and run.is_claimed:
        return None
    wanted = {key: value for key, value in leaves(job.config) if key.split(".")[0] in changeable() - {*FIXED}}
    changes = [f"{key}={literal(value)}" for key, value in wanted.items() if saved.get(key) != value]
    return [*flags, quoted(f"run={job.path}"), *changes, f"stages=[{','.join(stages)}]"]


def withdraw(job: Job) -> None:
    """Removes the directory of a job in which no run was created."""
    if not Run(job.path).is_claimed:
        (job.path / CONFIG).unlink(missing_ok=True)
        remove_empty(job.path)
