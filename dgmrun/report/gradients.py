"""Tables of gradients: of estimators, ordered by variance, and of batches, ordered by their number of examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dgmrun.protocols.text import with_error
from dgmrun.report.terminal import tables, text
from dgmrun.run.figures import Figure

NOISY = "The objective draws noise for each example, which all of them have, too: no variance of one follows."


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


def table_of_sizes(figures: Sequence[Figure]) -> str:
    """Returns a table with a row for each number of examples, and the variance of one example that each implies."""
    columns = [
        ("examples", [str(figure.examples) for figure in figures]),
        ("log variance", [with_error(figure.value, figure.standard_error) for figure in figures]),
        ("signal to noise", [_short(figure.diagnostics["signal_to_noise"]) for figure in figures]),
        ("time", [f"{figure.diagnostics['milliseconds']:.2f} ms" for figure in figures]),
    ]
    if is_noisy(figures):
        return f"{text(*tables(columns))}\n{NOISY}"
    single = [f"{value:.3g} +- {error:.1g}" for value, error in map(of_one, figures)]
    return text(*tables([*columns[:2], ("variance of one", single), *columns[2:]]))


def is_noisy(figures: Sequence[Figure]) -> bool:
    """Returns whether gradients have noise besides the choice of examples, so that none implies the variance of one."""
    return any(figure.settings["is_noisy"] for figure in figures)


def of_one(figure: Figure) -> tuple[float, float]:
    """Returns the variance of the gradient of one example that a figure of n of N examples implies, and its error.

    It is n (N - 1) / (N - n) times theirs if nothing but the choice of examples is random.
    """
    n, num = figure.settings["batch_size"], figure.settings["of"]
    value = math.exp(figure.value) * n * (num - 1) / (num - n)
    return value, value * (figure.standard_error or 0.0)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
