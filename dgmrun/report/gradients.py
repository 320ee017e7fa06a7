"""Table of gradient estimators, ordered by variance."""

from __future__ import annotations

from collections.abc import Mapping

from dgmrun.protocols.text import with_error
from dgmrun.report.terminal import tables, text
from dgmrun.run.figures import Figure


def table(figures: Mapping[str, Figure]) -> str:
    """Returns a table with a row for each estimator."""
    every = steadiest(figures)
    found = {name: figure.diagnostics for name, figure in every.items()}
    columns = [
        ("estimator", list(every)),
        ("of", [figure.settings["bound"] for figure in every.values()]),
        ("log variance", [with_error(figure.value, figure.standard_error) for figure in every.values()]),
        ("signal to noise", [_short(each["signal_to_noise"]) for each in found.values()]),
        ("bias", [_share(each["bias"]) for each in found.values()]),
        ("by chance", [_share(each["bias_by_chance"]) for each in found.values()]),
        ("time", [f"{each['milliseconds']:.2f} ms" for each in found.values()]),
    ]
    shown = columns if any(each["bias"] is not None for each in found.values()) else [*columns[:4], columns[-1]]
    return text(*tables(shown))


def steadiest(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """Returns the figures in the order of their variance, smallest first."""
    return dict(sorted(figures.items(), key=lambda pair: pair[1].value))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
