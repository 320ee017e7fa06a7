"""Runs below a directory, as read by the tools.

No code from them is executed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dgmrun.errors import Mistake, RunFailed
from dgmrun.report.figures import at, every
from dgmrun.report.terminal import plain, warn
from dgmrun.run import queue
from dgmrun.run.directory import CONFIG, RESULTS, Run
from dgmrun.run.figures import Figure

NO_SETTING = (
    *("choices", "stages", "run", "data_dir", "name", "tags", "notes"),
    *("dataset.name", "dataset.table", "dataset.sha256", "dataset.event", "dataset.labels"),
)
"""Keys of a configuration that do not describe how a run was made, or only repeat its choices."""
CHOICES = ("model", "objective", "dataset", "seed")
"""The settings that tell runs apart first."""


@dataclass(frozen=True)
class Entry:
    """A run: its path, name, settings (by dotted key), results and figures (by `<word>.<label>`).

    `weights` is the sha256 of its weights, or None if it has none; `queue` its state in that of Slurm,
    if it is there or has not come to have results; `is_killed` whether it says that it is in training,
    but no process trains it.
    """

    path: Path
    name: str
    settings: dict[str, str]
    results: dict[str, Any]
    figures: dict[str, Figure]
    weights: str | None
    queue: str | None = None
    is_killed: bool = False

    @property
    def setting(self) -> frozenset[tuple[str, str]]:
        """All settings but the seed."""
        return frozenset(item for item in self.settings.items() if item[0] != "seed")

    @property
    def data(self) -> str:
        """Name of its dataset; of the user's own, with that of the file and of its folder; and how it was divided."""
        name, division = (at(self.results, "dataset", key) for key in ("name", "division"))
        path = self.settings.get("dataset.path")
        of_user = "" if path is None else f" {Path(*Path(path).parts[-2:])}"
        return plain(name or "") + of_user + (f", {plain(division)}" if division else "")

    @property
    def is_finished(self) -> bool:
        """Whether all that was asked of the run is done."""
        return self.results.get("status") == "done" and at(self.results, "train", "complete") is not False

    @property
    def doubts(self) -> list[str]:
        """What is doubtful about its data."""
        return [plain(doubt) for doubt in at(self.results, "dataset", "doubts") or ()]


def read(folders: Sequence[Path]) -> list[Entry]:
    """Returns all readable runs in the directories; warns of others.

    Raises:
        Mistake: a directory has no run.
    """
    paths = _find(folders)
    try:
        states, otherwise = queue.queued(paths), "failed"
    except RunFailed as failure:
        states, otherwise = {}, "not started"
        warn(str(failure))
    found = [entry for path in paths if (entry := _entry(path)) is not None]
    entries = [replace(entry, queue=states.get(entry.path, None if entry.results else otherwise)) for entry in found]
    if not entries:
        raise Mistake(f"`DIR` must have a run that can be read, but {', '.join(map(str, folders))} has none")
    common = folder(entries)
    relative = [plain(str(entry.path.relative_to(common))) for entry in entries]
    often = Counter(entry.name for entry in entries)
    names = [
        place if not entry.name else entry.name if often[entry.name] == 1 else f"{entry.name} ({place})"
        for entry, place in zip(entries, relative, strict=True)
    ]
    return [replace(entry, name=name) for entry, name in zip(entries, names, strict=True)]


def folder(entries: Sequence[Entry]) -> Path:
    """Returns the folder below which runs are named, as by TensorBoard with it as `--logdir`."""
    return Path(os.path.commonpath([entry.path.parent for entry in entries]))


def differing(entries: Sequence[Entry]) -> list[str]:
    """Returns the settings that differ between runs, choices of options first.

    If runs have different options of a group, settings that only some of these options have are not included.
    """
    keys = dict.fromkeys(key for entry in entries for key in entry.settings)
    values = {key: {entry.settings.get(key) for entry in entries} for key in keys}
    varied = {key for key, found in values.items() if len(found) > 1}
    told = [key for key in varied if key.partition(".")[0] not in varied or len(values[key] - {None}) > 1]
    order = {key: place for place, key in enumerate(keys)}
    return sorted(told, key=lambda key: (*_rank(key), order[key]))


def _rank(key: str) -> tuple[int, bool]:
    return CHOICES.index(key) if key in CHOICES else len(CHOICES), "." in key


def _find(folders: Sequence[Path]) -> list[Path]:
    found: set[Path] = set()
    for folder in folders:
        below = {Run(Path(place)).path for place, _, files in os.walk(folder) if _is_run({*files})}
        if not below:
            lack = "has none" if folder.is_dir() else "is no folder"
            raise Mistake(
                f"`DIR` must be a folder with runs, but {folder} {lack}",
                "dgmrun model=rbm train makes a run in outputs",
            )
        found |= below
    return sorted(found)


def _is_run(files: set[str]) -> bool:
    """Returns whether a folder with such files is that of a run, which may yet have to start on Slurm."""
    return CONFIG in files and bool({RESULTS, queue.JOB} & files)


def _entry(path: Path) -> Entry | None:
    try:
        return _read(Run.find(path))
    except (Mistake, OSError) as error:
        warn(f"{path} is left out: {error}")
        return None


def _read(run: Run) -> Entry:
    config, results = run.config, run.results
    name = config.get("name")
    weights = run.weights_sha256() if run.weights_file.is_file() else None
    is_training = results.get("status") == "running" and at(results, "train", "complete") is not True
    settings = _settings(config)
    if results.get("status") == "done" and not results.get("train") and "objective" in settings:
        settings["objective"] = "none"  # its weights were given
    return Entry(
        run.path,
        plain(name) if name else "",
        settings,
        results,
        every(results),
        weights,
        is_killed=is_training and not run.is_in_training,
    )


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    choices = config.get("choices")
    return _flat(config) | (_flat(choices) if isinstance(choices, Mapping) else {})


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}{plain(key)}"
        if key == "_target_" or name in NO_SETTING:
            continue
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: plain(value)}
    return flat
