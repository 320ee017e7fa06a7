"""`sample`: samples of the model, as a picture and as numbers."""

from __future__ import annotations

import logging

import torch

from dgmrun.errors import Mistake
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.protocols import UnnormalisedDensity
from dgmrun.report.pictures import save
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that cannot be sampled."""
    if not isinstance(setup.new_model(), UnnormalisedDensity):
        raise Mistake(
            f"`sample` must have a model that can be sampled, but `model` is {setup.config['choices']['model']}"
        )


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples: exact ones where states can be enumerated, else ends of long Gibbs chains."""
    settings = setup.config["sample"]
    model = setup.trained_model(run)
    with seeded(setup.config["seed"], "sample"):
        x = samples(model, settings["count"], setup.base_logits, settings["burn_in"]).cpu()  # type: ignore[arg-type]
    run.write_arrays("samples.npz", x=x.to(torch.uint8).numpy())
    picture = save(run.path / "figures" / "samples.png", setup.upright(x))
    how = "exact, by enumeration" if can_be_exact(model) else f"chains of {settings['burn_in']} Gibbs sweeps"
    run.merge({"sample": {"count": len(x), "how": how, "of": run.identity()}})
    log.info("sample      %d samples (%s): %s", len(x), how, picture)
