"""Formatting of figures as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmrun.protocols.features import named
from dgmrun.protocols.text import counted, shown, with_error
from dgmrun.report.figures import beside
from dgmrun.run.figures import Figure


def line(word: str, label: str, figure: Figure, dataset: Any = None) -> str:
    """Formats a figure on one line, followed by a line about its proposal and one for each of its warnings.

    Args:
        word: the name of the stage.
        label: the name of the figure.
        figure: the figure.
        dataset: the dataset as recorded in results.json.
    """
    head = f"{f'{word}.{label}':24} {shown(figure)}"
    if (orders := figure.diagnostics.get("orders") or 1) > 1:
        head += f", of the mean over {orders:.0f} orders"
    if figure.split:
        head += f"; {figure.split}, {counted(figure.examples, 'example')}{_share(figure)}"
    if (of := named(figure.settings)) is not None:
        head += f"; by {of}"
    if figure.given:
        head += f", given {figure.given}"
    if figure.quantity == "perplexity":
        head += f"; per {figure.settings['per']}, unigram {figure.diagnostics['unigram']:.3f}"
    if "fid_infinity" in (its := figure.diagnostics):
        head += f"; of infinitely many rows {with_error(its['fid_infinity'], its['standard_error_infinity'])}"
    if (further := beside(figure, dataset)) is not None:
        head += f"; {further}"
    return "\n".join([head, *proposal(figure.diagnostics), *(f"    warning: {one}" for one in figure.warnings)])


def _share(figure: Figure) -> str:
    """Says how many there are of examples from a finite population, which have no sampling error if they are all."""
    population = figure.diagnostics.get("population")
    if population is None:
        return ""
    return ", the whole population" if figure.examples == population else f" of a population of {population:.0f}"


def proposal(diagnostics: Mapping[str, float | None]) -> list[str]:
    """Formats the divergences between the model p and the proposal q, if the figure has them."""
    if "kl_p_q" not in diagnostics:
        return []
    names = {"KL(p||q)": "kl_p_q", "KL(q||p)": "kl_q_p"}
    parts = [
        f"{name} {with_error(diagnostics[key], diagnostics[f'{key}_standard_error'])}" for name, key in names.items()
    ]
    return [f"    {', '.join(parts)} nats; R-hat {diagnostics['r_hat']:.4f}"]
