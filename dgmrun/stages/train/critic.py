"""Plot of the critic, for examples in the plane."""

from __future__ import annotations

import torch
from numpy import ndarray
from torch import Tensor

from dgmrun.objectives.adversarial.base import Adversarial
from dgmrun.objectives.base import Objective
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.workbench.setup import Setup

POINTS = 200
"""Number of examples and of samples to plot."""


def draw(run: Run, setup: Setup, trained: Objective) -> None:
    """Writes figures/critic.png if the objective is adversarial and examples are points in the plane, given nothing."""
    if not isinstance(trained, Adversarial) or setup.event.shape != (2,) or setup.context is not None:
        return
    from dgmrun.pictures import critic, drawing

    with drawing.harmless("the critic"):
        with seeded(setup.config["seed"], "critic"), torch.no_grad():
            x = trained.seen(setup.scored("valid").x[:POINTS].to(next(trained.parameters())))
            game, *_ = trained.games()
            sample = trained.seen(game.generated(POINTS))
        places = critic.grid(_drawable(x), _drawable(sample))
        f = game.f(torch.from_numpy(places).to(sample).flatten(0, 1)).reshape(places.shape[:2])
        figure = critic.portrait(places, *map(_drawable, (f, x, sample, trained.pull(game.f, sample))))
        drawing.write(run, "train", {"critic": figure}, setup.formats)


def _drawable(x: Tensor) -> ndarray:
    return x.detach().float().cpu().numpy()
