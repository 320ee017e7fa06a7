"""Figures in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmrun.report.figures import at, bits, with_error

BIAS = {"none": "", "down": ", low in the mean", "up": ", high in the mean", "unknown": ", direction unknown"}


def estimate(word: str, label: str, entry: Mapping[str, Any], dataset: Any = None) -> str:
    """An estimate on one line, a line for what its proposal is like, and one for each of its warnings.

    Args:
        word: the stage word.
        label: the estimate's name.
        entry: what results.json holds of it.
        dataset: what results.json holds of the data that a likelihood is of.
    """
    exact = entry["kind"] == "exact" and entry["standard_error"] == 0
    shown = f"{entry['value']:.6f}" if exact else with_error(entry["value"], entry["standard_error"])
    head = f"{f'{word}.{label}':24} {shown} {entry['unit']}  {interval(entry['interval'])}  {kind(entry)}"
    if entry["effective_sample_size"] is not None:
        head += f"; effective sample size {entry['effective_sample_size']:.0f} of {entry['samples']}"
    if entry.get("split"):
        head += f"; {entry['split']}, {entry['examples']} examples"
    if not entry.get("quantity") and (beside := bits(entry["value"], entry["standard_error"], dataset)) is not None:
        head += f"; {beside} bits per dimension, {at(dataset, 'transform')}"
    return "\n".join([head, *proposal(entry["diagnostics"]), *(f"    warning: {one}" for one in entry["warnings"])])


def proposal(diagnostics: Mapping[str, float | None]) -> list[str]:
    """How far the model p and the proposal q are apart, where a figure is through one."""
    if "kl_p_q" not in diagnostics:
        return []
    names = {"KL(p||q)": "kl_p_q", "KL(q||p)": "kl_q_p"}
    parts = [
        f"{name} {with_error(diagnostics[key], diagnostics[f'{key}_standard_error'])}" for name, key in names.items()
    ]
    return [f"    {', '.join(parts)} nats; R-hat {diagnostics['r_hat']:.4f}"]


def interval(ends: tuple[float | None, float | None] | None) -> str:
    """The 99.7 % interval."""
    if ends is None:
        return "[no interval]"
    low, high = ("open" if end is None else f"{end:.3f}" for end in ends)
    return f"[{low}, {high}]"


def kind(entry: Mapping[str, Any]) -> str:
    """What the figure is, and which way it errs."""
    of_what = f" of {entry['quantity']}" if entry.get("quantity") else ""
    return str(entry["kind"]).replace("_", " ") + of_what + BIAS[entry["bias"]]
