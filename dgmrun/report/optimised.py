"""What a search of latent space found, beside the best of the training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from dgmrun.protocols.text import counted
from dgmrun.report.terminal import plain, table, text

ROUNDING = 1e-9
"""Relative difference of values that may be the same, computed in another order."""
SHOWN = 10
"""Number of rows of the table."""


class Found(NamedTuple):
    """A string that was measured in a round; its value is None if it is not valid."""

    string: str
    value: float | None
    round: int


class Outcome:
    """What was found.

    Args:
        name: name of the property.
        is_lower: whether lower values are better.
        found: strings that were measured, none of them a training string.
        known: values of the training strings.
    """

    def __init__(self, name: str, is_lower: bool, found: Sequence[Found], known: Mapping[str, float]) -> None:
        self.name, self.is_lower, self.found = name, is_lower, found
        self.training = self._ordered(known)

    def _ordered(self, values: Mapping[str, float]) -> list[tuple[str, float]]:
        return sorted(values.items(), key=lambda pair: pair[1] if self.is_lower else -pair[1])

    @cached_property
    def best(self) -> list[tuple[str, float]]:
        """The valid strings that were found, with their values, the best first."""
        return self._ordered({each.string: each.value for each in self.found if each.value is not None})

    @property
    def tenth(self) -> float:
        """Value of the last of the best tenth of the training strings."""
        return self.training[max(1, len(self.training) // 10) - 1][1]

    def better(self, than: float) -> int:
        """Returns how many of the strings are better than a value, by more than rounding."""
        least = ROUNDING * max(1.0, abs(than))
        return sum((than - value if self.is_lower else value - than) > least for _, value in self.best)

    def numbers(self) -> dict[str, float | None]:
        """Returns what is recorded beside the value of the best."""
        return {
            "training_best": self.training[0][1],
            "training_best_tenth": self.tenth,
            "valid": len(self.best),
            "better_than_training": self.better(self.training[0][1]),
            "better_than_best_tenth": self.better(self.tenth),
        }

    def lines(self) -> list[str]:
        """Returns the table of the best strings, and whether one of them is better than all training strings."""
        columns = [
            column
            for heading, pairs in (("found", self.best), ("training", self.training))
            for column in (
                (heading, [plain(string) for string, _ in pairs[:SHOWN]]),
                (self.name, [f"{value:.4f}" for _, value in pairs[:SHOWN]]),
            )
        ]
        rows = max(len(cells) for _, cells in columns)
        padded = [(heading, [*cells, *[""] * (rows - len(cells))]) for heading, cells in columns]
        num, limit = self.better(self.training[0][1]), f"{self.training[0][1]:.4f}"
        are = "none of them is" if num == 0 else "1 of them is" if num == 1 else f"{num} of them are"
        return [
            text(table(padded)),
            f"optimise    {counted(len(self.found), 'new string')} measured, {len(self.best)} valid; {are} better than "
            f"all {len(self.training)} training strings, the best of which has {limit}",
            f"optimise    {self.better(self.tenth)} are better than {self.tenth:.4f}, the last of their best tenth",
        ]
