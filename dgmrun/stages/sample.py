"""`sample`: samples of the model, as a picture and as numbers."""

from __future__ import annotations

import logging

import numpy
import torch

from dgmrun.errors import Mistake
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.report.pictures import save
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses sizes that make no samples."""
    for key, least in (("count", 1), ("burn_in", 0)):
        if setup.config["sample"][key] < least:
            raise Mistake(f"`sample.{key}` must be at least {least}, but is {setup.config['sample'][key]}")


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples: exact ones where states can be enumerated, else ends of long Gibbs chains."""
    settings = setup.config["sample"]
    model = setup.trained_model(run)
    with seeded(setup.config["seed"], "sample"):
        x = samples(model, settings["count"], setup.base_logits, settings["burn_in"]).cpu()  # type: ignore[arg-type]
    numpy.savez_compressed(run.path / "samples.npz", x=x.to(torch.uint8).numpy())
    picture = save(run.path / "figures" / "samples.png", x)
    how = "exact, by enumeration" if can_be_exact(model) else f"chains of {settings['burn_in']} Gibbs sweeps"
    run.merge({"sample": {"count": len(x), "how": how, "of": run.identity()}})
    log.info("sample      %d samples (%s): %s", len(x), how, picture)
