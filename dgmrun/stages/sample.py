"""`sample`: samples of the model, as a picture and as numbers."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from dgmrun.errors import Mistake
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.protocols import TractableDensity, UnnormalisedDensity
from dgmrun.report.pictures import save
from dgmrun.rng import seeded
from dgmrun.run import Run
from dgmrun.stages._other import other
from dgmrun.stages._setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that cannot be sampled."""
    if not isinstance(setup.new_model(), (TractableDensity, UnnormalisedDensity)):
        raise Mistake(
            f"`sample` must have a model that can be sampled, but `model` is {setup.config['choices']['model']}"
        )


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples of the model, of its teacher where it has one, and shows them beside data."""
    count, model = setup.config["sample"]["count"], setup.trained_model(run)
    x = {"data": setup.splits["test"].x[:count]}
    if "teacher" in setup.config["objective"]:
        its_run, its_setup = other(setup, "objective.teacher")
        x["teacher"] = _drawn(its_setup.trained_model(its_run), its_setup, setup).reshape(-1, *setup.event.shape)
    x["x"] = _drawn(model, setup, setup)
    run.write_arrays("samples.npz", **{name: part.cpu().to(torch.uint8).numpy() for name, part in x.items()})
    picture = save(run.path / "figures" / "samples.png", setup.upright(x["x"]))
    how = "exact" if can_be_exact(model) else f"chains of {setup.config['sample']['burn_in']} Gibbs sweeps"
    run.merge({"sample": {"count": count, "how": how, "of": run.identity()}})
    log.info("sample      %d samples (%s): %s", count, how, picture)


def _drawn(model: nn.Module, its: Setup, asked: Setup) -> Tensor:
    """Samples of a model, whoever asks for them."""
    settings = asked.config["sample"]
    with seeded(asked.config["seed"], "sample"):
        return samples(model, settings["count"], its.base_logits, settings["burn_in"])
