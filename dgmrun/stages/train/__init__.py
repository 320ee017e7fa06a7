"""`train`: Lightning drives the objective; callbacks, a file each, do the rest."""

from __future__ import annotations

from dgmrun import build
from dgmrun.errors import Mistake
from dgmrun.run import Run
from dgmrun.stages._setup import Setup


def check(setup: Setup) -> None:
    """Refuses an objective that the model does not fit, and settings that no training can have."""
    model, node, names = setup.new_model(), setup.config["objective"], setup.config["choices"]
    if not build.fits(type(model), build.target(node).requires):
        raise Mistake(
            f"`objective` must be one that fits the model {names['model']}, but is {names['objective']}",
            f"dgmrun list model={names['model']}",
        )
    if setup.config["device"]["devices"] != 1 or setup.config["device"]["num_nodes"] != 1:
        raise Mistake("`device.devices` and `device.num_nodes` must be 1: several processes are not supported yet")
    from dgmrun.stages.train import fit

    fit.limits(setup, 1)
    fit.objective(setup, model, steps=1).configure_optimizers()
    try:
        fit.make_trainer(setup.config["device"])
        if str(setup.config["device"]["precision"]).startswith("16"):
            raise ValueError("`device.precision` 16 needs a loss scale, which there is not: bf16-mixed does not")
    except Exception as error:  # Lightning's own kinds among them
        raise Mistake(f"`device` must be one that Lightning takes, but: {str(error).splitlines()[0]}") from None


def main(run: Run, setup: Setup) -> None:
    """Trains the run from where it stands to where its limits are."""
    from dgmrun.stages.train import fit

    with run.training():
        fit.fit(run, setup)
