"""`sample`: samples of the model, as a picture and as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.errors import Mistake
from dgmrun.stages import check_least

if TYPE_CHECKING:
    from dgmrun.run.directory import Run
    from dgmrun.workbench.setup import Setup

DEPENDS = ()
WRITES = ("samples.npz", "figures/*.png")


def check(setup: Setup) -> None:
    """Refuses models that cannot be sampled, and conditions that there are not."""
    from dgmrun.protocols.models import roles
    from dgmrun.stages.sample import draw
    from dgmrun.workbench.inputs import TEACHER, others

    check_least(setup, {"sample.count": 1, "sample.burn_in": 0})
    if roles(type(setup.new_model())).sampler is None:
        raise Mistake(
            f"`sample` must have a model that can be sampled, but `model` is {setup.config['choices']['model']}"
        )
    draw.check_classes(setup)
    if "teacher" in setup.config["objective"]:
        for teacher in others(setup, TEACHER):
            teacher.setup.load()


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples of the model, of its teachers where it has some, and shows them beside data."""
    from dgmrun.stages.sample import draw

    draw.draw(run, setup)
