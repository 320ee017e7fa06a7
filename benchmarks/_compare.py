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
class Row:
    """What a comparison came to.

    Args:
        name: the work, and the peer.
        unit: of `ours` and `theirs`.
        ours: median over rounds.
        theirs: the same of the peer.
        figure: median over rounds of the figure made of both.
        lowest: of any round.
        highest: of any round.
        target: a sign and what the figure is meant to be; or empty.
    """

    name: str
    unit: str
    ours: float
    theirs: float
    figure: float
    lowest: float
    highest: float
    target: str

    def __str__(self) -> str:
        spread = f"{self.lowest:.2f}-{self.highest:.2f}"
        ours, theirs = map(number, (self.ours, self.theirs))
        return line(self.name, self.unit, ours, theirs, f"{self.figure:.2f}", spread, self.target, self.verdict)

    @property
    def verdict(self) -> str:
        """`met` or `missed`, or empty where there is no target."""
        if not self.target:
            return ""
        sign, bound = self.target.split()
        return "met" if SIGNS[sign](self.figure, float(bound)) else "missed"


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

    def row(self, rounds: int) -> Row:
        """Measures in turn, `rounds` times: the medians, and the median and range of the rounds' figures."""
        pairs = [(self.ours(), self.theirs()) for _ in range(rounds)]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        figures = [self.figure(*pair) for pair in pairs]
        return Row(self.name, self.unit, ours, theirs, median(figures), min(figures), max(figures), target=self.target)


def number(value: float) -> str:
    """A measurement with the digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
