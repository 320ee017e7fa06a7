"""`fidelity`: how close samples are to data, or predictions to labels, without likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("per_example/*.npz", *FIGURES)
LEAST = {"fidelity.examples": 2, "fidelity.burn_in": 0}


def check(setup: Setup) -> None:
    """Refuses unknown splits, methods that do not apply, and runs without features."""
    from dgmrun.workbench import features, scoring

    scoring.splits(setup, "fidelity")
    scoring.methods(setup, "fidelity")
    features.check(setup)


def main(run: Run, setup: Setup) -> None:
    """Evaluates the selected methods on the selected splits, and draws the training neighbours of samples."""
    from dgmrun.workbench import neighbours, scoring

    scoring.score(run, setup, "fidelity")
    needs = {method.needs for method in scoring.methods(setup, "fidelity").values()}
    if "features" in needs and setup.event.is_picture:
        neighbours.draw(run, setup)
