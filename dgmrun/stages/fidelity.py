"""`fidelity`: how near samples are to data, or predictions to what they should be; no likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import check_least

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("per_example/*.npz",)


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not fit."""
    from dgmrun.workbench import scoring

    check_least(setup, {"fidelity.examples": 2})
    scoring.splits(setup, "fidelity")
    scoring.methods(setup, "fidelity")


def main(run: Run, setup: Setup) -> None:
    """Scores every selected split by every selected method."""
    from dgmrun.workbench import scoring

    scoring.score(run, setup, "fidelity")
