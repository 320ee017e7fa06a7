"""`fidelity`: how close samples are to data, or predictions to labels, without likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("per_example/*.npz",)
LEAST = {"fidelity.examples": 2, "fidelity.burn_in": 0}


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not apply."""
    from dgmrun.workbench import scoring

    scoring.splits(setup, "fidelity")
    scoring.methods(setup, "fidelity")


def main(run: Run, setup: Setup) -> None:
    """Evaluates the selected methods on the selected splits."""
    from dgmrun.workbench import scoring

    scoring.score(run, setup, "fidelity")
