"""`dgmrun compare --figures FOLDER`: pictures of many runs, from their files alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy
from matplotlib.figure import Figure
from numpy import ndarray

from dgmrun.report import drawing, evidence, found, gallery
from dgmrun.report.figures import at
from dgmrun.report.runs import Entry
from dgmrun.report.terminal import plain, warn
from dgmrun.run import Run

MOST = 12
"""Panels of a picture."""
T = TypeVar("T")


def write(entries: Sequence[Entry], folder: Path) -> None:
    """Draws what the runs have into a folder; what cannot be drawn is named in a warning."""
    pools = {of: _pool(entries, of) for of in _subjects(entries)}
    drawn = {"samples": _samples(entries), "log_z": _log_z(entries, pools), "proposals": _proposals(entries, pools)}
    for name, figure in drawn.items():
        if figure is not None:
            file = drawing.save(folder / f"{name}.png", figure)
            print(plain(f"{name:11} {file}"), file=sys.stderr)


def _each(entries: Sequence[Entry], read: Callable[[Entry], T], what: str) -> dict[str, T]:
    """What can be read of the runs, by their names; no more than a picture holds."""
    read_so_far: dict[str, T] = {}
    for entry in entries:
        if len(read_so_far) == MOST:
            warn(f"{what} has room for {MOST} runs, and shows the first of them only")
            break
        try:
            read_so_far[entry.name] = read(entry)
        except (ValueError, OSError) as error:
            warn(f"{entry.path} is left out of {what}: {error}")
    return read_so_far


def _samples(entries: Sequence[Entry]) -> Figure | None:
    """The data of the first run that has samples, and the samples of all runs of the same data."""
    first: list[ndarray] = []

    def read(entry: Entry) -> ndarray:
        own = found.samples(Run(entry.path))
        is_column = entry.settings.get("dataset.pixel_order") == "column"
        data, x = (part.swapaxes(-1, -2) if is_column and part.ndim == 4 else part for part in own.values())
        first.append(data)
        count = min(len(data), len(first[0]))
        if not numpy.array_equal(data[:count], first[0][:count]):
            raise ValueError("its samples are of other data than those of the first run")
        return x

    shown = _each(entries, read, "samples.png")
    return gallery.side_by_side({"data": first[0]} | shown) if shown else None


def _subjects(entries: Sequence[Entry]) -> list[str]:
    """sha256 of the weights that there are figures of, of or through the present weights of a run."""
    figures = (one for entry in entries for one in (at(entry.results, "log_z") or {}).values())
    shas = dict.fromkeys(at(one, "of", "weights_sha256") for one in figures)
    return [sha for sha in shas if isinstance(sha, str)]


def _through(entry: Entry, of: str) -> dict[str, Mapping[str, Any]]:
    """A run's log Z of some weights through its own."""
    known = found.log_z(entry.results, of).items()
    return {name: one for name, one in known if entry.weights == at(one, "proposal", "weights_sha256") is not None}


def _pool(entries: Sequence[Entry], of: str) -> dict[str, Mapping[str, Any]]:
    """log Z of some weights by all runs: each method of the model itself, and those through each student by its name."""
    pool: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        pool |= {f"{name}, {entry.name}": one for name, one in _through(entry, of).items()}
        if entry.weights == of:
            known = found.log_z(entry.results, of).items()
            pool |= {name: one for name, one in known if at(one, "proposal", "weights_sha256") is None}
    return pool


def _log_z(entries: Sequence[Entry], pools: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    names = {entry.weights: entry.name for entry in entries}
    panels = {
        f"log Z of {names.get(of) or f'the weights {plain(of)[:12]}'}": found.curves(pool)
        for of, pool in list(pools.items())[:MOST]
    }
    shown = {title: panel for title, panel in panels.items() if panel.methods}
    return evidence.curves(shown) if shown else None


def _proposals(entries: Sequence[Entry], pools: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    students = [entry for entry in entries if any(_through(entry, of) for of in pools)]

    def read(entry: Entry) -> evidence.Points:
        of = next(of for of in pools if _through(entry, of))
        return found.points(Run(entry.path), found.best({**_through(entry, of), **pools[of]}))

    shown = _each(students, read, "proposals.png")
    return evidence.densities(shown) if shown else None
