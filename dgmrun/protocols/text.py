"""Words: of settings, of pictures, and of estimates: value, standard error, interval and kind on one line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dgmrun.protocols.values import Estimate

AUTO = "auto"
"""Setting, such as `dataset.label`, of what is recognised in the data."""
NAMED = ("log_z", "log_likelihood", "perplexity", "log_variance")
"""Quantities implied by the name of their stage."""
BIAS = {"none": "", "down": ", low in the mean", "up": ", high in the mean", "unknown": ", direction unknown"}
LARGE = 1e9
"""Numbers above it are shown by their powers of ten."""


class Caption(NamedTuple):
    """What a value of a picture is, and a row and a column of one that is a matrix."""

    value: str = ""
    row: str = "row"
    column: str = "column"


def captions(*owners: object) -> dict[str, Caption]:
    """Returns the captions of pictures, by their names, that the classes of a model and an objective state."""
    return {name: Caption(*parts) for owner in owners for name, parts in getattr(type(owner), "captions", {}).items()}


def shown(estimate: Estimate) -> str:
    """Formats an estimate on one line: value, standard error, interval and kind."""
    exact = estimate.kind == "exact" and estimate.standard_error == 0
    value = f"{estimate.value:.6f}" if exact else with_error(estimate.value, estimate.standard_error)
    line = f"{f'{value} {estimate.unit}'.rstrip()}  {interval(estimate.interval)}  {kind(estimate)}"
    if estimate.effective_sample_size is not None:
        line += f"; effective sample size {estimate.effective_sample_size:.0f} of {estimate.samples}"
    return line


def with_error(value: float | None, error: float | None, sign: str = "") -> str:
    """Formats `value +- error` with three decimals, or as many as give two digits of a small error."""
    small = error is not None and 0 < error < 0.01
    decimals = min(9, 1 - math.floor(math.log10(error))) if small and error else 3
    form = f".{decimals}e" if max(abs(value or 0), abs(error or 0)) > LARGE else f".{decimals}f"
    value = 0.0 if value is not None and round(value, decimals) == 0 else value  # -0.000 is none
    return f"{'?' if value is None else f'{value:{sign}{form}}'} +- {'?' if error is None else f'{error:{form}}'}"


def counted(number: int | None, what: str) -> str:
    """Formats a number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def interval(ends: tuple[float | None, float | None] | None) -> str:
    """Formats the 99.7 % interval."""
    if ends is None:
        return "[no interval]"
    low, high = ("open" if end is None else f"{end:.3f}" for end in ends)
    return f"[{low}, {high}]"


def kind(estimate: Estimate) -> str:
    """Returns the kind of the estimate and the direction of its bias."""
    of_what = f" of {estimate.quantity}" if estimate.quantity not in NAMED else ""
    return estimate.kind.replace("_", " ") + of_what + BIAS[estimate.bias]
