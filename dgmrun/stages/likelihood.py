"""`likelihood`: mean log-probability of a split, in nats per example, with every source of error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import check_least

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ("log_z",)
WRITES = ("per_example/*.npz", "figures/*.png")


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not fit."""
    from dgmrun.workbench import scoring

    check_least(setup, {"likelihood.examples": 2})
    scoring.splits(setup, "likelihood")
    scoring.methods(setup, "likelihood")


def main(run: Run, setup: Setup) -> None:
    """Scores every selected split by every selected method, in original units, and draws how figures come about."""
    from dgmrun.workbench import scoring

    scoring.score(run, setup, "likelihood")
    scoring.draw(run)
