"""`sample`: samples of the model, or completions of data, as arrays and as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.errors import Mistake
from dgmrun.stages import FIGURES

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("samples.npz", "samples.txt", "samples.wav", "data.wav", "completions.npz", *FIGURES)
LEAST = {"sample.count": 1, "sample.burn_in": 0}


def check(setup: Setup) -> None:
    """Refuses models that cannot be sampled, and classes that do not exist."""
    from dgmrun.protocols.models import roles
    from dgmrun.stages.sample import completion, draw
    from dgmrun.workbench.inputs import teachers

    model = setup.new_model()
    if roles(type(model)).sampler is None:
        raise Mistake(
            f"`sample` must have a model that can be sampled, but `model` is {setup.config['choices']['model']}"
        )
    setup.sample_as_asked(model)
    draw.check_classes(setup)
    completion.check(setup, model)
    for teacher in teachers(setup):
        teacher.setup.load()


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples of the model and of its teachers, if any, or completions, and plots them."""
    from dgmrun.stages.sample import completion, draw

    drawn = draw if setup.config["sample"]["complete"] is None else completion
    drawn.draw(run, setup)
