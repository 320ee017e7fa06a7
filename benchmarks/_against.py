"""The working tree and a commit of old, each in an environment of its own, measured in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from operator import truediv
from pathlib import Path

from benchmarks._compare import Comparison
from benchmarks._data import random
from benchmarks._environment import Environment, unpacked
from benchmarks._machine import ROOT
from benchmarks._waits import WAITS, Wait

SIZES = {"train": 5000, "valid": 200, "test": 200}
"""Few to validate on, since that is not what is measured."""


def comparisons(commit: str, names: Iterable[str], folder: Path, quick: bool) -> list[Comparison]:
    """How many times as fast as at `commit` the working tree is, of each of `names`; files go to `folder`.

    Raises:
        Mistake: there is no such commit.
    """
    tree = unpacked(commit, folder / "tree")
    ours, theirs = Environment(ROOT, folder / "now"), Environment(tree, folder / "then")
    data = random(folder, SIZES)
    return [comparison(WAITS[name], ours, theirs, data, quick) for name in names]


def comparison(wait: Wait, ours: Environment, theirs: Environment, data: Sequence[str], quick: bool) -> Comparison:
    """Of seconds, the figure is theirs by ours, as it is how many times as fast ours is."""
    now, then = (partial(wait.measure, python, data, quick) for python in (ours, theirs))
    figure = (lambda ours, theirs: theirs / ours) if wait.unit == "s" else truediv
    return Comparison(wait.name, wait.unit, now, then, wait.target, figure)
