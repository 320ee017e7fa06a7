"""`train`: Lightning drives the objective; callbacks, a file each, do the rest."""

from __future__ import annotations

import logging

from dgmrun import build
from dgmrun.errors import Mistake
from dgmrun.run import Run
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")
AT_LEAST_ONE = {
    "trainer": ("max_epochs", "max_steps", "validate_every_n_steps", "patience"),
    "checkpoint": ("every_n_steps", "every_n_epochs"),
    "dataset": ("batch_size",),
}


def check(setup: Setup) -> None:
    """Refuses an objective that the model does not fit, and settings that no training can have."""
    model, node, names = setup.new_model(), setup.config["objective"], setup.config["choices"]
    if not node:
        raise Mistake("`objective` must be given, but is null", "dgmrun list")
    if not build.fits(type(model), build.target(node).requires):
        raise Mistake(
            f"`objective` must be one that fits the model {names['model']}, but is {names['objective']}",
            f"dgmrun list model={names['model']}",
        )
    for section, keys in AT_LEAST_ONE.items():
        for key in keys:
            if (value := setup.config[section][key]) is not None and value < 1:
                raise Mistake(f"`{section}.{key}` must be at least 1, but is {value}")
    from dgmrun.stages.train import fit

    fit.objective(setup, model, steps=1).configure_optimizers()
    fit.limits(setup, 1)


def main(run: Run, setup: Setup) -> None:
    """Trains the run from where it stands to where its limits are."""
    from dgmrun.stages.train import fit

    with run.training():
        fit.fit(run, setup)
