"""`gradients`: bias and variance of every estimator that fits the model, at the parameters of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.stages import check_least

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("figures/*.png",)


def check(setup: Setup) -> None:
    """Refuses a model without estimators, and estimators that do not fit."""
    from dgmrun.stages.gradients import measure

    check_least(setup, {"gradients.num_samples": 20, "gradients.tuning": 0, "gradients.exact_bits": 0})
    measure.objectives(setup, setup.new_model())


def main(run: Run, setup: Setup) -> None:
    """Measures every selected estimator, and writes a table and a picture of them."""
    from dgmrun.stages.gradients import measure

    measure.measure(run, setup)
