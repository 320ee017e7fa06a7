"""A picture of the critic, where examples are points of the plane."""

from __future__ import annotations

import torch

from dgmrun.objectives.adversarial import Adversarial
from dgmrun.objectives.base import Objective
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._setup import Setup

POINTS = 200
"""Examples, and samples, that are shown."""


def draw(run: Run, setup: Setup, trained: Objective) -> None:
    """Writes figures/critic.png of two players in the plane; of anything else nothing."""
    if not isinstance(trained, Adversarial) or setup.event.shape != (2,):
        return
    from dgmrun.report import critic, drawing

    with seeded(setup.config["seed"], "critic"):
        x = trained.seen(setup.scored("valid")[:POINTS].float())
        sample = trained.generated(POINTS).detach()
        pull = trained.pull(sample).cpu().numpy()
    places = critic.grid(x.numpy(), sample.cpu().numpy())
    with torch.no_grad():
        f = trained.f(torch.from_numpy(places).to(sample).flatten(0, 1)).reshape(places.shape[:2])
    figure = critic.portrait(places, f.cpu().numpy(), x.numpy(), sample.cpu().numpy(), pull)
    drawing.write(run, "train", {"critic": figure})
