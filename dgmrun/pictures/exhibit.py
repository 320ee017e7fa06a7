"""`dgmrun compare --figures FOLDER`: plots of several runs, from their files alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy
from numpy import ndarray

from dgmrun.pictures import drawing, evidence, found, gallery, scores, students
from dgmrun.pictures.drawing import Picture
from dgmrun.report.figures import at
from dgmrun.report.runs import Entry
from dgmrun.report.terminal import plain, warn
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, figures

MOST = 12
"""Largest number of panels of a plot."""
T = TypeVar("T")
Pool = dict[str, Figure]
"""Figures of log Z of one model, by method and run."""


def write(entries: Sequence[Entry], folder: Path) -> None:
    """Writes the plots to a directory; warns of what cannot be plotted."""
    pools = _pools(entries)
    drawn = {
        "samples": _samples(entries),
        "log_z": _log_z(entries, pools),
        "proposals": _proposals(entries, pools),
        "students": _students(entries),
        "scores": scores.of(entries),
    }
    for name, figure in drawn.items():
        if figure is not None:
            file, *_ = drawing.save(folder / f"{name}.png", figure)
            print(plain(f"{name:11} {file}"), file=sys.stderr)
    if not any(drawn.values()):
        warn(f"{folder} gets no plot: no samples, no log Z, and no scores against the one number that differs")


def _each(entries: Sequence[Entry], read: Callable[[Entry], T], what: str) -> dict[str, T]:
    """Reads something from each run, by name; no more runs than a plot has room for."""
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


def _samples(entries: Sequence[Entry]) -> Picture | None:
    """Plots the data of the first run with samples, and samples of all runs on the same data."""
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

    if not any((entry.path / "samples.npz").is_file() for entry in entries):
        return None
    shown = _each(entries, read, "samples.png")
    return gallery.samples({"data": first[0]} | shown) if shown else None


def _pools(entries: Sequence[Entry]) -> dict[str, Pool]:
    """Groups log Z figures by the sha256 of the model's weights; those through a student are labelled with its name."""
    names = {entry.weights: entry.name for entry in entries}
    pools: dict[str, Pool] = {}
    for entry in entries:
        for of, through, name, figure in _figures(entry):
            if through == entry.weights:
                pools.setdefault(of, {})[f"{name}, {entry.name}"] = figure
            elif of == entry.weights and through not in names:
                pools.setdefault(of, {})[name] = figure
    return pools


def _figures(entry: Entry) -> Iterator[tuple[str, str | None, str, Figure]]:
    """Yields all log Z figures of a run: sha256 of the model's and of the proposal's weights, method, figure."""
    for name, figure in figures(entry.results).get("log_z", {}).items():
        if entry.weights is not None:
            through = None if figure.proposal is None else figure.proposal.weights_sha256
            yield figure.of.weights_sha256, through, plain(name), figure


def _log_z(entries: Sequence[Entry], pools: Mapping[str, Pool]) -> Picture | None:
    panels = {of: panel for of, pool in pools.items() if (panel := found.curves(pool)).methods}
    if len(panels) > MOST:
        warn(f"log_z.png has room for {MOST} models, and shows the first of them only")
    titles = _titles(entries, panels)
    shown = {titles[of]: panels[of] for of in list(panels)[:MOST]}
    return evidence.curves(shown) if shown else None


def _titles(entries: Sequence[Entry], of: Iterable[str]) -> dict[str, str]:
    """Names quantities by the run whose weights they are of, else by the sha256 of these."""
    names = {entry.weights: entry.name for entry in entries}
    return {each: f"log Z of {names.get(each) or f'the weights {plain(each)[:12]}'}" for each in of}


def _students(entries: Sequence[Entry]) -> Picture | None:
    """Plots what log Z through each student cost, for each model that at least two students measured."""
    every: dict[str, list[students.Measure]] = {}
    for entry in entries:
        training, own = found.drawable(at(entry.results, "train", "seconds")), [*_figures(entry)]
        mine = [(of, method, figure) for of, through, method, figure in own if through == entry.weights]
        for of, method, figure in mine:
            measuring = found.drawable(sum(each.seconds for its, _, each in mine if its == of))
            if not (training and measuring and training > 0 and measuring > 0):
                continue
            low, high = map(found.drawable, figure.interval or (None, None))
            half = None if low is None or high is None or low >= high else (high - low) / 2
            every.setdefault(of, []).append(students.Measure(entry.name, method, training, measuring, half))
    several = {of: some for of, some in every.items() if len({each.student for each in some}) > 1}
    shown = {of: some for of, some in several.items() if any(each.half_width for each in some)}
    titles = _titles(entries, several)
    for of in several.keys() - shown.keys():
        warn(f"{titles[of]} is left out of students.png: none of its figures has an interval")
    return students.draw({titles[of]: some for of, some in shown.items()}) if shown else None


def _proposals(entries: Sequence[Entry], pools: Mapping[str, Pool]) -> Picture | None:
    """Plots one column for each run that was the proposal for log Z of another."""
    own = {
        entry.name: {name: (of, figure) for of, through, name, figure in _figures(entry) if through == entry.weights}
        for entry in entries
    }

    def read(entry: Entry) -> evidence.Points:
        of = next(iter(own[entry.name].values()))[0]
        mine = {name: figure for name, (target, figure) in own[entry.name].items() if target == of}
        return found.points(Run(entry.path), of, found.best({**pools[of], **mine}))

    shown = _each([entry for entry in entries if own[entry.name]], read, "proposals.png")
    return evidence.densities(shown) if shown else None
