"""`train`: Lightning runs the training loop, and callbacks, each in a file of its own, do all other work."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from dgmrun import children
from dgmrun.errors import Mistake
from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = (
    *(f"checkpoints/{name}.ckpt{end}" for name in ("last", "previous", "best") for end in ("", ".sha256")),
    *(*FIGURES, "metrics.csv", "non-finite-batch.safetensors"),
)
LEAST = {
    "trainer.max_epochs": 1,
    "trainer.max_steps": 1,
    "trainer.validate_every_n_steps": 1,
    "trainer.accumulate": 1,
    "trainer.patience": 1,
    "checkpoint.every_n_steps": 1,
    "checkpoint.every_n_epochs": 1,
}


def check(setup: Setup) -> None:
    """Refuses an objective that does not fit the model, and invalid settings."""
    from dgmrun.stages.train import refusals

    refusals.check(setup)


def check_run(run: Run, setup: Setup) -> None:
    """Refuses a run that cannot resume: in use by another process, without checkpoints, or with other processes.

    Raises:
        Mistake: the run cannot resume; the message names the key.
    """
    from dgmrun.stages.train import processes
    from dgmrun.workbench.inputs import check_teachers

    if children.node() == 0:
        with run.training():
            pass
    check_teachers(setup)
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
    """Trains the run until a limit is reached, in as many processes as are configured."""
    from dgmrun.stages.train import fit, processes

    device = setup.config["device"]
    if children.is_rank():
        fit.fit(run, setup)
    elif children.node() > 0:
        processes.start("train", device)
    else:
        with run.training() as lock:
            if processes.total(device) > 1:
                processes.start("train", device, locks=(lock,))
            else:
                fit.fit(run, setup)
