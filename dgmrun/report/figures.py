"""Formatting of figures in tables, and quantities derived from them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from dgmrun.protocols.text import NAMED
from dgmrun.protocols.text import with_error as with_error
from dgmrun.report.terminal import plain
from dgmrun.run.figures import Figure, figures

MARKS = {"exact": "", "lower_bound": ">= ", "upper_bound": "<= ", "estimate": "~ "}


def every(results: Mapping[str, Any]) -> dict[str, Figure]:
    """Returns all figures in results.json, by `<word>.<label>`."""
    return {
        plain(f"{word}.{label}"): figure
        for word, labels in figures(results).items()
        for label, figure in labels.items()
    }


def cell(figure: Figure | None, weights: str | None) -> str:
    """Formats a figure with its marks, for a run whose weights have this sha256."""
    if figure is None:
        return "-"
    exact = figure.kind == "exact" and figure.standard_error == 0
    shown = f"{figure.value:.3f}" if exact else with_error(figure.value, figure.standard_error)
    marks = f"{' !' if figure.warnings else ''}{' stale' if figure.is_stale(weights) else ''}"
    marks += " of another" if figure.is_of_another(weights) else ""
    marks += f" {plain(figure.quantity)}" if figure.quantity not in NAMED else ""
    return f"{MARKS[figure.kind]}{shown}{marks}"


def beside(figure: Figure, dataset: Any) -> str | None:
    """Returns a derived quantity: bits per dimension for grey levels."""
    if figure.quantity != "log_likelihood" or not figure.size:
        return None
    shown = bits(figure.value, figure.standard_error, figure.size, number(at(dataset, "levels")))
    return None if shown is None else f"{shown} bits per dimension, {plain(at(dataset, 'transform'))}"


def bits(value: float, error: float | None, dims: float, levels: float | None) -> str | None:
    """Formats bits per dimension, -value / (D ln 2), of a log-likelihood in nats; None unless data are grey levels."""
    if not levels:
        return None
    nats = dims * math.log(2)
    return with_error(-value / nats, None if error is None else error / nats)


def at(tree: Any, *keys: str) -> Any:
    """Returns the value at a path of keys, or None if it does not exist."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def number(value: Any) -> float | None:
    """Returns the value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= sys.float_info.max else None
