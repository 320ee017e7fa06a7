"""A run's hyperparameters beside its figures, in TensorBoard's HParams tab.

Only the start of a session is written, no list of an experiment's columns: TensorBoard would take the list of one run
for all of them. Without one it shows every setting and every scalar that any run has; of a run that is itself the
`--logdir` it then shows the settings alone, so a folder above is to be given.
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

from dgmrun.report.figures import at, every, number
from dgmrun.report.runs import NO_SETTING
from dgmrun.report.terminal import plain
from dgmrun.run.directory import Run
from dgmrun.run.files import locked, replace

Value = bool | int | float | str
SECTIONS = ("model", "objective", "dataset", "given", "optimizer", "schedule", "trainer", "seed", "weights")
"""What makes a run; not where it is made, nor how it is scored."""
EVENTS = "events.out.tfevents."
DRAWN, ENDING = ".~figures-", ".~hparams"
"""Event files are read in the order of their names, which hold whole seconds: `~` is the last of its second."""


def write(run: Run) -> None:
    """Writes the hyperparameters of a run and the figures of its present weights, in place of what was written before.

    A run without any figure or scalar has none: a row of settings alone says nothing. A TensorBoard that is running
    keeps the settings that it has read until it is started again.
    """
    with locked(run.path):
        before = set(run.path.glob(f"{EVENTS}*{ENDING}"))
        values = _figures(run)
        if values or set(run.path.glob(f"{EVENTS}*")) - before - set(run.path.glob(f"{EVENTS}*{DRAWN}*")):
            file = run.path / f"{EVENTS}{int(time.time()):010d}{ENDING}"
            step = number(at(run.results, "train", "weights_step")) or 0
            replace(file, event_file(_summary(hyperparameters(run.config), values), int(step)))
            before.discard(file)
        for old in before:
            old.unlink()


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Value]:
    """The settings that make a run, as `section.key`; the names of the options under those of their groups."""
    choices = config.get("choices")
    named = {key: choices.get(key) for key in SECTIONS} if isinstance(choices, Mapping) else {}
    return dict(_flat({key: config.get(key) for key in SECTIONS})) | dict(_flat(named))


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
    """A value as TensorBoard knows it: numbers stay numbers, a list is told in words, null is absent."""
    if value is None or isinstance(value, bool):
        return value
    return number(value) if isinstance(value, (int, float)) else plain(value)


def _figures(run: Run) -> dict[str, float]:
    """`<word>/<label>`: value of every figure that is of the present weights."""
    weights = run.weights_sha256() if run.weights_file.exists() else None
    return {
        name.replace(".", "/", 1): figure.value
        for name, figure in every(run.results).items()
        if not figure.is_stale(weights)
    }


def _summary(settings: Mapping[str, Value], values: Mapping[str, float]) -> Summary:
    """The settings, and the values as scalars."""
    start = SessionStartInfo()
    for name, value in settings.items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[name], f"{kind}_value", value)
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    summary.value.add(
        tag=metadata.SESSION_START_INFO_TAG,
        metadata=metadata.create_summary_metadata(HParamsPluginData(session_start_info=start)),
        tensor=metadata.NULL_TENSOR,
    )
    return summary


def event_file(summary: Summary, step: int) -> bytes:
    """An event file: its version, and a summary at `step`."""
    content = io.BytesIO()
    records, now = RecordWriter(content), time.time()
    for event in (Event(wall_time=now, file_version="brain.Event:2"), Event(wall_time=now, step=step, summary=summary)):
        records.write(event.SerializeToString())
    return content.getvalue()
