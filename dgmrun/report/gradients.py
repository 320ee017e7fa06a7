"""Estimators of a gradient side by side, the steadiest first: in a table, and in a picture.

Pure functions from entries of results.json to text and figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE
from dgmrun.report.figures import with_error
from dgmrun.report.terminal import tables, text

Entries = Mapping[str, Mapping[str, Any]]


def table(entries: Entries) -> str:
    """A line for each."""
    every = _sorted(entries)
    found = {name: entry["diagnostics"] for name, entry in every.items()}
    columns = [
        ("estimator", list(every)),
        ("of", [entry["settings"]["bound"] for entry in every.values()]),
        ("log variance", [with_error(entry["value"], entry["standard_error"]) for entry in every.values()]),
        ("signal to noise", [_short(each["signal_to_noise"]) for each in found.values()]),
        ("bias", [_share(each["bias"]) for each in found.values()]),
        ("by chance", [_share(each["bias_by_chance"]) for each in found.values()]),
        ("time", [f"{each['milliseconds']:.2f} ms" for each in found.values()]),
    ]
    shown = columns if any(each["bias"] is not None for each in found.values()) else [*columns[:4], columns[-1]]
    return text(*tables(shown))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _sorted(entries: Entries) -> dict[str, Mapping[str, Any]]:
    return dict(sorted(entries.items(), key=lambda pair: pair[1]["value"]))


@rc_context(STYLE)
def draw(entries: Entries) -> Figure:
    """Log variance with its 99.7 % interval, signal to noise, and time of a gradient; a row for each."""
    every = _sorted(entries)
    figure = Figure(figsize=(10, 1.5 + 0.3 * len(every)), dpi=DPI, layout="constrained")
    variance, signal, seconds = figure.subplots(1, 3, sharey=True)
    rows = range(len(every))
    labels = [f"{name} ({entry['settings']['bound']})" for name, entry in every.items()]
    values = [entry["value"] for entry in every.values()]
    errors = [3 * entry["standard_error"] for entry in every.values()]
    variance.errorbar(values, rows, xerr=errors, fmt="o", color=COLOURS[0], capsize=3)
    variance.set(xlabel="log variance", yticks=rows, yticklabels=labels)
    variance.invert_yaxis()
    for axes, key, label in (
        (signal, "signal_to_noise", "signal to noise"),
        (seconds, "milliseconds", "milliseconds a gradient"),
    ):
        axes.plot([entry["diagnostics"][key] or 0.0 for entry in every.values()], rows, "o", color=COLOURS[0])
        axes.set(xlabel=label, xlim=(0, None))
    for axes in (variance, signal, seconds):
        axes.grid(axis="y", color="0.9")
    return figure
