"""`likelihood`: mean log-probability of a split, in nats per example, with every source of error."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dgmrun import children
from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ("log_z",)
WRITES = ("per_example/*.npz", *FIGURES)
LEAST = {"likelihood.examples": 2}


def check(setup: Setup) -> None:
    """Refuses unknown splits, and methods that do not apply."""
    from dgmrun.workbench import scoring

    scoring.splits(setup, "likelihood")
    scoring.methods(setup, "likelihood")


def main(run: Run, setup: Setup) -> None:
    """Evaluates the selected methods on the selected splits, in original units, and plots their convergence."""
    from dgmrun.stages.train import processes
    from dgmrun.workbench import scoring

    alone = scoring.needs_log_z(setup)  # which is recorded on the way, and takes longer than the rest
    processes.evaluate("likelihood", setup.config["device"], partial(scoring.score, run, setup, "likelihood"), alone)
    if not children.is_rank():
        scoring.draw(run, setup.formats)
