"""Checks of training settings before the run directory is created."""

from __future__ import annotations

import torch

from dgmrun.errors import Mistake
from dgmrun.protocols.models import fits
from dgmrun.stages.train import fit, machines, processes, validation
from dgmrun.workbench import build, start
from dgmrun.workbench.setup import Setup

PRECISIONS = ("32-true", "64-true", "bf16-mixed")
"""Others need a loss scale (16-mixed) or keep too few digits of the weights (16-true, bf16-true)."""


def check(setup: Setup) -> None:
    """Builds everything that can be built without training.

    Raises:
        Mistake: a setting is invalid; the message names its key.
    """
    model, node, names = setup.new_model(), setup.config["objective"], setup.config["choices"]
    objective = build.target(node)
    if start.is_settled(model):
        raise Mistake(
            f"`stages` must not have train for {names['model']}, which has nothing to train",
            f"dgmrun model={names['model']} log_z",
        )
    if not fits(type(model), objective.requires):
        raise Mistake(
            f"`objective` must be one that fits the model {names['model']}: "
            f"{', '.join(build.partners('model', names['model'], setup.search_path)['objective'])}, "
            f"but is {names['objective']}",
            f"dgmrun list model={names['model']}",
        )
    is_watched = validation.scorer(setup, model) is None
    if setup.config["trainer"]["patience"] is not None and is_watched and not objective.stops_by_watched:
        raise Mistake(
            f"`trainer.patience` must be null for the model {names['model']}, whose validation loss is least where its "
            "critic knows least"
        )
    processes.check(setup.config["device"])
    machines.check(setup.config["device"])
    data = fit.in_memory(setup, torch.device("cpu"), rank=0, world_size=processes.total(setup.config["device"]))
    fit.limits(setup, len(data))
    made = fit.objective(setup, model, len(data))
    build.checked(made.configure_optimizers)
    fit.source_of(made, data, setup)
    fit.further_logger(setup)
    _check_precision(str(setup.config["device"]["precision"]), objective.takes_bfloat16, names["objective"])
    try:
        fit.make_trainer(setup.config["device"])
    except Exception as error:  # including Lightning's own exceptions
        raise Mistake(f"`device` must be one that Lightning takes, but: {str(error).splitlines()[0]}") from None


def _check_precision(precision: str, takes_bfloat16: bool, name: str) -> None:
    """Refuses a precision that keeps too few digits of the weights, or of the loss of the objective of this name."""
    if precision not in PRECISIONS:
        raise Mistake(f"`device.precision` must be {', '.join(PRECISIONS)}, but is {precision}")
    if precision == "bf16-mixed" and not takes_bfloat16:
        raise Mistake(
            f"`device.precision` must be 32-true or 64-true for the objective {name}, "
            f"whose loss has too few digits otherwise, but is {precision}",
            "device.precision=32-true",
        )
