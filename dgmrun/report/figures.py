"""Formatting of figures in tables, and quantities derived from them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from dgmrun.protocols.features import named
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


def cell(figure: Figure | None, weights: str | None, heading: str = "") -> str:
    """Formats a figure with its marks, for a run whose weights have this sha256.

    Under a heading, its label, neither that is said again nor on which features it rests, which a note tells.
    """
    if figure is None:
        return "-"
    exact = figure.kind == "exact" and figure.standard_error == 0
    shown = f"{figure.value:.3f}" if exact else with_error(figure.value, figure.standard_error)
    marks = f"{' !' if figure.warnings else ''}{' stale' if figure.is_stale(weights) else ''}"
    marks += " of another" if figure.is_of_another(weights) else ""
    is_told = figure.quantity in (*NAMED, heading.partition(".")[2].partition("@")[0])
    marks += "" if is_told else f" {plain(figure.quantity)}"
    marks += f" by {plain(of)}" if not heading and (of := named(figure.settings)) is not None else ""
    return f"{MARKS[figure.kind]}{shown}{marks}"


def beside(figure: Figure, dataset: Any) -> str | None:
    """Returns a derived quantity, -value / (S ln 2) with the mean size S of an example, and the error alike.

    It is in bits per dimension for grey levels and bits per token for strings, their ends included; else None.
    """
    if figure.quantity != "log_likelihood" or not figure.size:
        return None
    nats, error = figure.size * math.log(2), figure.standard_error
    shown = with_error(-figure.value / nats, None if error is None else error / nats)
    if number(at(dataset, "levels")):
        return f"{shown} bits per dimension, {plain(at(dataset, 'transform'))}"
    return f"{shown} bits per token" if at(dataset, "kind") == "tokens" else None


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
