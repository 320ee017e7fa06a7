"""Estimates as results.json holds them. In a stranger's file anything may be missing or malformed."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgmrun.report.terminal import plain

MARKS = {"exact": "", "lower_bound": ">= ", "upper_bound": "<= ", "estimate": "~ "}
LEGEND = (
    "Figures in nats, likelihood per example, gradients as log variance, divergences by name; +- one standard error. "
    "Unmarked: exact; >= lower bound; <= upper bound; ~ estimate; ? unknown; ! has warnings, which results.json tells; "
    "stale: of other weights than the run has now; of another: of its teacher, or of what it was a proposal for."
)


@dataclass(frozen=True)
class Figure:
    """An estimate as results.json holds it; what is missing or no number is None.

    Args:
        warnings: how many warnings it came with.
        stale: whether it is of, or through, other weights than the run has now.
        of_another: whether it is of another run, through the weights of this one.
        standard_error_log_z: the part of `standard_error` that is log Z's.
        quantity: what it is of, where that is not what its stage word says.
    """

    value: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    kind: str | None
    split: str | None
    warnings: int
    stale: bool
    of_another: bool
    standard_error_log_z: float | None
    quantity: str | None


def figures(results: Mapping[str, Any], weights: str | None) -> dict[str, Figure]:
    """Every estimate in results.json, as `<word>.<label>`.

    Args:
        results: what results.json holds.
        weights: sha256 of the run's weights, if it has any.
    """
    return {
        plain(f"{word}.{label}"): _figure(estimate, weights)
        for word, labels in results.items()
        if isinstance(labels, Mapping)
        for label, estimate in labels.items()
        if isinstance(estimate, Mapping) and "value" in estimate
    }


def _figure(estimate: Mapping[str, Any], weights: str | None) -> Figure:
    ends = estimate.get("interval")
    low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
    of, through = (at(estimate, part, "weights_sha256") for part in ("of", "proposal"))
    kind, split, warnings = (estimate.get(key) for key in ("kind", "split", "warnings"))
    return Figure(
        value=number(estimate["value"]),
        standard_error=number(estimate.get("standard_error")),
        low=number(low),
        high=number(high),
        kind=plain(kind) if isinstance(kind, str) else None,
        split=plain(split) if isinstance(split, str) else None,
        warnings=len(warnings) if isinstance(warnings, list) else 0,
        stale=weights is not None and weights not in (of, through),
        of_another=weights is not None and weights == through,
        standard_error_log_z=number(at(estimate, "diagnostics", "standard_error_log_z")),
        quantity=plain(str(estimate["quantity"])) if estimate.get("quantity") is not None else None,
    )


def cell(figure: Figure | None) -> str:
    """An estimate with its marks."""
    if figure is None:
        return "-"
    exact = figure.kind == "exact" and figure.standard_error == 0 and figure.value is not None
    shown = f"{figure.value:.3f}" if exact else with_error(figure.value, figure.standard_error)
    marks = f"{' !' if figure.warnings else ''}{' stale' if figure.stale else ''}"
    marks += " of another" if figure.of_another else ""
    marks += f" {figure.quantity}" if figure.quantity else ""
    return f"{MARKS.get(str(figure.kind), '? ')}{shown}{marks}"


def with_error(value: float | None, error: float | None, sign: str = "") -> str:
    """`value +- error` to three decimals, or as many more as a small error needs to show two digits."""
    small = error is not None and 0 < error < 0.01
    decimals = min(9, 1 - math.floor(math.log10(error))) if small and error else 3
    shown = "?" if value is None else f"{value:{sign}.{decimals}f}"
    return f"{shown} +- {'?' if error is None else f'{error:.{decimals}f}'}"


def bits(value: float | None, error: float | None, dataset: Any) -> str | None:
    """-value / (D ln 2), bits per dimension, of log-likelihoods of grey levels in nats; None of other data."""
    levels, dims = number(at(dataset, "levels")), number(at(dataset, "dims"))
    if value is None or not levels or not dims:
        return None
    nats = dims * math.log(2)
    return with_error(-value / nats, None if error is None else error / nats)


def at(tree: Any, *keys: str) -> Any:
    """The value below these keys, None where there is none."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def number(value: Any) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= sys.float_info.max else None
