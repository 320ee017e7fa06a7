"""`gradients`: bias and variance of all applicable gradient estimators, at the parameters of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = FIGURES
LEAST = {"gradients.num_samples": 20, "gradients.tuning": 0, "gradients.exact_bits": 0}


def check(setup: Setup) -> None:
    """Refuses models without gradient estimators, and estimators that do not apply."""
    from dgmrun.stages.gradients import measure

    measure.objectives(setup, setup.new_model())


def main(run: Run, setup: Setup) -> None:
    """Measures the selected estimators; prints a table and plots the results."""
    from dgmrun.stages.gradients import measure

    measure.measure(run, setup)
