"""Progress of a sweep: a line when a job starts or ends, and a table of the results."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dgmrun.report.terminal import plain, show, tables


class Shown(Protocol):
    """The properties of a job that are printed."""

    path: Path
    overrides: list[str]
    state: str
    error: str
    seconds: float


def tell(line: str) -> None:
    """Prints a line of progress to stderr, in one piece, as other threads print, too."""
    sys.stderr.write(f"{plain(line)}\n")
    sys.stderr.flush()


def settings(job: Shown, jobs: Sequence[Shown]) -> str:
    """Returns the overrides of a job that not all jobs have."""
    same = set.intersection(*(set(one.overrides) for one in jobs))
    return plain(" ".join(one for one in job.overrides if one not in same))


def chosen(job: Shown, keys: Iterable[str]) -> str:
    """Returns the overrides of these keys, as words of a shell."""
    words = [one for one in job.overrides if one.partition("=")[0] in keys]
    return plain(" ".join(map(shlex.quote, words)))


def show_jobs(jobs: Sequence[Shown], further: Mapping[str, Sequence[str]] | None = None) -> None:
    """Prints the table to stdout, with further columns by name."""
    apart = [settings(job, jobs) for job in jobs]
    columns = [
        ("job", [job.path.name for job in jobs]),
        *([("settings", apart)] if any(apart) else []),
        *((name, list(column)) for name, column in (further or {}).items()),
        ("state", [job.state for job in jobs]),
        ("time", [_duration(job.seconds) for job in jobs]),
    ]
    show(*tables(columns), *_errors(jobs), _summary(jobs))


def show_best(job: Shown, keys: Iterable[str], shown: str) -> None:
    """Says which trial of a search is best, and with which settings."""
    show(f"best: {shown} at {chosen(job, keys)}", f"in {plain(os.path.relpath(job.path))}")


def _errors(jobs: Sequence[Shown]) -> Iterable[str]:
    errors = [f"{job.path.name}  {job.state}: {plain(job.error)}" for job in jobs if job.error]
    return ["", *errors] if errors else []


def _summary(jobs: Sequence[Shown]) -> str:
    states = [job.state for job in jobs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    folder = jobs[0].path.parent
    return f"\n{counts}" + (f": dgmrun compare {shlex.quote(os.path.relpath(folder))}" if folder.exists() else "")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds else "-"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
