"""Two measurements taken in turn, and the line of the table that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, le, truediv
from statistics import median

SIGNS = {">=": ge, "<=": le}


def line(*cells: str) -> str:
    """One line of the table."""
    widths = (-48, 11, 9, 9, 8, 15, 9, -7)
    return " ".join(cell.rjust(w) if w > 0 else cell.ljust(-w) for cell, w in zip(cells, widths, strict=True)).rstrip()


HEADER = line("comparison", "unit", "dgmrun", "peer", "ratio", "lowest-highest", "target", "")


@dataclass(frozen=True)
class Comparison:
    """dgmrun and a peer at the same work.

    Args:
        name: the work, and the peer.
        unit: of what `ours` and `theirs` return.
        ours: measures dgmrun once.
        theirs: measures the peer once.
        target: a sign and what the figure is meant to be, say ">= 1.25"; empty where it is only reported.
        figure: made of both measurements of a round: their ratio, unless another is given.
    """

    name: str
    unit: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    target: str = ""
    figure: Callable[[float, float], float] = truediv

    def row(self, rounds: int) -> str:
        """Measures in turn, `rounds` times: the medians, and the median and range of the rounds' figures."""
        pairs = [(self.ours(), self.theirs()) for _ in range(rounds)]
        ours, theirs = (_number(median(column)) for column in zip(*pairs, strict=True))
        figures = [self.figure(*pair) for pair in pairs]
        figure, spread = median(figures), f"{min(figures):.2f}-{max(figures):.2f}"
        return line(self.name, self.unit, ours, theirs, f"{figure:.2f}", spread, self.target, self._verdict(figure))

    def _verdict(self, figure: float) -> str:
        if not self.target:
            return ""
        sign, bound = self.target.split()
        return "met" if SIGNS[sign](figure, float(bound)) else "missed"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
