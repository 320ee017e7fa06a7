"""Formatting of figures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmrun.protocols.values import Estimate
from dgmrun.report.figures import NAMED, beside, with_error
from dgmrun.run.figures import Figure

BIAS = {"none": "", "down": ", low in the mean", "up": ", high in the mean", "unknown": ", direction unknown"}


def line(word: str, label: str, figure: Figure, dataset: Any = None) -> str:
    """Formats a figure on one line, followed by a line about its proposal and one for each of its warnings.

    Args:
        word: the name of the stage.
        label: the name of the figure.
        figure: the figure.
        dataset: the dataset as recorded in results.json.
    """
    head = f"{f'{word}.{label}':24} {shown(figure)}"
    if figure.split:
        head += f"; {figure.split}, {figure.examples} examples{_share(figure)}"
    if figure.given:
        head += f", given {figure.given}"
    if (further := beside(figure, dataset)) is not None:
        head += f"; {further}"
    return "\n".join([head, *proposal(figure.diagnostics), *(f"    warning: {one}" for one in figure.warnings)])


def _share(figure: Figure) -> str:
    """Says how many there are of examples from a finite population, which have no sampling error if they are all."""
    population = figure.diagnostics.get("population")
    if population is None:
        return ""
    return ", the whole population" if figure.examples == population else f" of a population of {population:.0f}"


def shown(estimate: Estimate) -> str:
    """Formats an estimate on one line: value, standard error, interval and kind."""
    exact = estimate.kind == "exact" and estimate.standard_error == 0
    value = f"{estimate.value:.6f}" if exact else with_error(estimate.value, estimate.standard_error)
    line = f"{value} {estimate.unit}  {interval(estimate.interval)}  {kind(estimate)}"
    if estimate.effective_sample_size is not None:
        line += f"; effective sample size {estimate.effective_sample_size:.0f} of {estimate.samples}"
    return line


def proposal(diagnostics: Mapping[str, float | None]) -> list[str]:
    """Formats the divergences between the model p and the proposal q, if the figure has them."""
    if "kl_p_q" not in diagnostics:
        return []
    names = {"KL(p||q)": "kl_p_q", "KL(q||p)": "kl_q_p"}
    parts = [
        f"{name} {with_error(diagnostics[key], diagnostics[f'{key}_standard_error'])}" for name, key in names.items()
    ]
    return [f"    {', '.join(parts)} nats; R-hat {diagnostics['r_hat']:.4f}"]


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
