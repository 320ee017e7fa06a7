"""Hyperparameters of a run and its figures, for TensorBoard's HParams tab.

Only the session start is written, without an experiment summary, as TensorBoard would apply the summary of one run to
all runs. Without a summary, it shows every setting and scalar that any run has; but if the `--logdir` is the run
itself, it shows only settings, so that a parent directory should be given.

Figures are among the settings, as `<word>/<label>`: as scalars, each would be a chart of one point, before all curves.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from dgmrun.paths import MADE_BY
from dgmrun.report.figures import every, number
from dgmrun.report.runs import NO_SETTING
from dgmrun.report.terminal import plain
from dgmrun.run.directory import Run
from dgmrun.run.files import replace
from dgmrun.run.locks import locked

Value = bool | int | float | str
EVENTS = "events.out.tfevents."
DRAWN, ENDING = ".~figures-", ".~hparams"
"""Suffixes of event files, which are read by name, with a resolution of a second: `~` sorts last within a second."""


def write(run: Run) -> None:
    """Writes the hyperparameters of a run and the figures of its current weights, replacing those written before.

    Nothing is written for a run without figures and scalars. A running TensorBoard has to be restarted to show changed
    settings.
    """
    with locked(run.path):
        before = set(run.path.glob(f"{EVENTS}*{ENDING}"))
        values = _figures(run)
        if values or set(run.path.glob(f"{EVENTS}*")) - before - set(run.path.glob(f"{EVENTS}*{DRAWN}*")):
            file = run.path / f"{EVENTS}{int(time.time()):010d}{ENDING}"
            replace(file, event_file(_summary(hyperparameters(run.config) | values), step=0))
            before.discard(file)
        for old in before:
            old.unlink()


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Value]:
    """Returns the settings that define a run, by `section.key`, its options, by their groups, and its name."""
    choices = config.get("choices")
    chosen = {key: choices.get(key) for key in MADE_BY} if isinstance(choices, Mapping) else {}
    named = {"name": plain(name)} if (name := config.get("name")) else {}
    return named | dict(_flat({key: config.get(key) for key in MADE_BY})) | dict(_flat(chosen))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    for key, value in tree.items():
        name = f"{prefix}{plain(key)}"
        if key == "_target_" or name in NO_SETTING:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif (known := _value(value)) is not None:
            yield name, known


def _value(value: Any) -> Value | None:
    """Converts a value for TensorBoard: numbers are unchanged, lists become strings, null is omitted."""
    if value is None or isinstance(value, bool):
        return value
    return number(value) if isinstance(value, (int, float)) else plain(value)


def _figures(run: Run) -> dict[str, Value]:
    """Returns the values of all figures of the current weights, by `<word>/<label>`."""
    weights = run.weights_sha256() if run.weights_file.exists() else None
    return {
        name.replace(".", "/", 1): figure.value
        for name, figure in every(run.results).items()
        if not figure.is_stale(weights)
    }


def _summary(settings: Mapping[str, Value]) -> Summary:
    """Makes a summary of the settings."""
    start = SessionStartInfo()
    for name, value in settings.items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[name], f"{kind}_value", value)
    summary = Summary()
    summary.value.add(
        tag=metadata.SESSION_START_INFO_TAG,
        metadata=metadata.create_summary_metadata(HParamsPluginData(session_start_info=start)),
        tensor=metadata.NULL_TENSOR,
    )
    return summary


def event_file(summary: Summary, step: int) -> bytes:
    """Returns the contents of an event file: its version, and a summary at `step`."""
    content = io.BytesIO()
    records, now = RecordWriter(content), time.time()
    for event in (Event(wall_time=now, file_version="brain.Event:2"), Event(wall_time=now, step=step, summary=summary)):
        records.write(event.SerializeToString())
    return content.getvalue()
