"""`gradients`: bias and variance of gradient estimators, or of batches of several sizes, at the parameters of a run."""

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
    """Refuses models without gradient estimators, estimators that do not apply, and batches that there are not."""
    from dgmrun.stages.gradients import batches, measure

    model = setup.new_model()
    measure.check_settings(setup, model)
    if _are_of_batches(setup):
        batches.check(setup, model)
    else:
        measure.objectives(setup, model)


def main(run: Run, setup: Setup) -> None:
    """Measures the selected estimators, or batches; prints a table and plots the results."""
    from dgmrun.stages.gradients import batches, measure

    (batches if _are_of_batches(setup) else measure).measure(run, setup)


def _are_of_batches(setup: Setup) -> bool:
    return setup.config["gradients"]["batch_sizes"] is not None
