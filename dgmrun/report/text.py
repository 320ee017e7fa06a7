"""Figures in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmrun.report.figures import with_error

BIAS = {"none": "", "down": ", low in the mean", "up": ", high in the mean", "unknown": ", direction unknown"}


def estimate(word: str, label: str, entry: Mapping[str, Any]) -> str:
    """An estimate on one line, and a line for each of its warnings."""
    exact = entry["standard_error"] == 0
    shown = f"{entry['value']:.6f}" if exact else with_error(entry["value"], entry["standard_error"])
    head = f"{f'{word}.{label}':24} {shown} nats  {interval(entry['interval'])}  {kind(entry)}"
    if entry["effective_sample_size"] is not None:
        head += f"; effective sample size {entry['effective_sample_size']:.0f} of {entry['samples']}"
    if entry.get("split"):
        head += f"; {entry['split']}, {entry['examples']} examples"
    return "\n".join([head, *(f"    warning: {warning}" for warning in entry["warnings"])])


def interval(ends: tuple[float | None, float | None] | None) -> str:
    """The 99.7 % interval."""
    if ends is None:
        return "[no interval]"
    low, high = ("open" if end is None else f"{end:.3f}" for end in ends)
    return f"[{low}, {high}]"


def kind(entry: Mapping[str, Any]) -> str:
    """What the figure is, and which way it errs."""
    return str(entry["kind"]).replace("_", " ") + BIAS[entry["bias"]]
