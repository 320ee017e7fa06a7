"""`train`: Lightning drives the objective; callbacks, a file each, do the rest."""

from __future__ import annotations

import shlex

import torch

from dgmrun import children
from dgmrun.errors import Mistake
from dgmrun.run.directory import Run
from dgmrun.workbench import build
from dgmrun.workbench.inputs import check_teacher
from dgmrun.workbench.setup import Setup


def check(setup: Setup) -> None:
    """Refuses an objective that the model does not fit, and settings that no training can have."""
    model, node, names = setup.new_model(), setup.config["objective"], setup.config["choices"]
    if not build.fits(type(model), build.target(node).requires):
        raise Mistake(
            f"`objective` must be one that fits the model {names['model']}: "
            f"{', '.join(build.partners('model', names['model'])['objective'])}, but is {names['objective']}",
            f"dgmrun list model={names['model']}",
        )
    from dgmrun.stages.train import fit, processes, validation

    if setup.config["trainer"]["patience"] is not None and validation.scorer(setup) is None:
        raise Mistake(
            f"`trainer.patience` must be null for the model {names['model']}, whose validation loss is least where its "
            "critic knows least"
        )
    processes.check(setup.config["device"])
    fit.limits(setup, 1)
    made = fit.objective(setup, model, steps=1)
    made.configure_optimizers()
    data = fit.in_memory(setup, torch.device("cpu"), rank=0, world_size=processes.total(setup.config["device"]))
    fit.source_of(made, data, setup)
    try:
        fit.make_trainer(setup.config["device"])
        if str(setup.config["device"]["precision"]).startswith("16"):
            raise ValueError("`device.precision` 16 needs a loss scale, which there is not: bf16-mixed does not")
    except Exception as error:  # Lightning's own kinds among them
        raise Mistake(f"`device` must be one that Lightning takes, but: {str(error).splitlines()[0]}") from None


def check_run(run: Run, setup: Setup) -> None:
    """Refuses to train a run that cannot go on: in training, without its checkpoints, or by other processes.

    Raises:
        Mistake: names the key.
    """
    from dgmrun.stages.train import processes

    if children.node() == 0:
        with run.training():
            pass
    check_teacher(setup)
    so_far = run.results.get("train", {})
    if so_far.get("steps") and not any((run.path / "checkpoints").glob("*.ckpt")):
        raise Mistake(
            "`run` must have its checkpoints to be trained on, but they were removed",
            f"dgmrun weights={shlex.quote(str(run.path))} ... starts a new run from its weights",
        )
    was = so_far.get("processes")
    number = processes.total(setup.config["device"])
    if was not in (None, number) and setup.config["resume"] == "exact":
        raise Mistake(
            f"`device` must give the {was} processes of the training so far, but gives {number}", "resume=approximate"
        )


def main(run: Run, setup: Setup) -> None:
    """Trains the run from where it stands to where its limits are, in as many processes as its device has."""
    from dgmrun.stages.train import fit, processes

    device = setup.config["device"]
    if children.is_rank():
        fit.fit(run, setup)
    elif children.node() > 0:
        processes.train(device, locks=())
    else:
        with run.training() as lock:
            if processes.total(device) > 1:
                processes.train(device, locks=(lock,))
            else:
                fit.fit(run, setup)
