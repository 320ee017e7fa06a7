"""`sample`: samples of the model, as a picture and as numbers."""

from __future__ import annotations

import logging
from importlib import import_module

from numpy import ndarray
from torch import Tensor, nn

from dgmrun.errors import Mistake
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.protocols.models import LatentVariableModel, Pictured, Sampler, UnnormalisedDensity
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages.sample import latent as _latent
from dgmrun.workbench import build
from dgmrun.workbench.inputs import other
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")


def check(setup: Setup) -> None:
    """Refuses models that cannot be sampled."""
    if not isinstance(setup.new_model(), (Sampler, UnnormalisedDensity)):
        raise Mistake(
            f"`sample` must have a model that can be sampled, but `model` is {setup.config['choices']['model']}"
        )
    if "teacher" in setup.config["objective"]:
        other(setup, "objective.teacher").setup.splits  # noqa: B018, refuses data that are not there


def main(run: Run, setup: Setup) -> None:
    """Draws `sample.count` samples of the model, of its teacher where it has one, and shows them beside data."""
    count, model = setup.config["sample"]["count"], setup.trained_model(run)
    x, models = {"data": setup.original(setup.splits["test"].x[:count])}, [model]
    if "teacher" in setup.config["objective"]:
        its_run, its_setup = other(setup, "objective.teacher")
        models.insert(0, its_setup.trained_model(its_run))
        x["teacher"] = _drawn(models[0], its_setup, setup).reshape(-1, *setup.event.shape)
    x["x"] = _drawn(model, setup, setup)
    run.write_arrays("samples.npz", **{name: part.numpy() for name, part in x.items()})
    how = "exact" if can_be_exact(model) else f"chains of {setup.config['sample']['burn_in']} Gibbs sweeps"
    covered = _coverage(setup, x["x"])
    run.merge({"sample": {"count": count, "how": how, "of": run.identity(), **covered}})
    _draw(run, setup, x, models)
    log.info("sample      %d samples (%s): %s", count, how, run.path / "figures" / "samples.png")
    if covered:
        share = 100 * covered["near"]
        log.info("            %d of %d modes covered, %.1f %% near one", covered["covered"], covered["modes"], share)


def _coverage(setup: Setup, x: Tensor) -> dict[str, float]:
    """What the dataset counts of samples, where its modes are known."""
    dataset = setup.config["dataset"]
    count = getattr(import_module(build.target(dataset).__module__), "coverage", None)
    return {} if count is None else count(x, dataset["modes"])


def _draw(run: Run, setup: Setup, x: dict[str, Tensor], models: list[nn.Module]) -> None:
    """The samples beside data; of a teacher and its student, the filters that both have."""
    from dgmrun.pictures import drawing, gallery

    def drawable(part: Tensor) -> ndarray:
        return part.cpu().float().numpy()

    title = "student" if "teacher" in x else "samples"
    panels = {title if name == "x" else name: drawable(setup.shown(part)) for name, part in x.items()}
    side_by_side = gallery.points if setup.event.shape == (2,) else gallery.side_by_side
    figures = {"samples": side_by_side(panels)}
    seen = setup.splits["test"].x[: len(x["data"])].to(setup.device).float()
    pictures = [model.pictures(seen) for model in models if isinstance(model, Pictured)]
    filters = [each["filters"].reshape(-1, *setup.event.shape) for each in pictures if "filters" in each]
    if len(filters) == 2:
        figures["features"] = gallery.features(*(drawable(setup.upright(part)) for part in filters))
    if isinstance(models[-1], LatentVariableModel):
        with seeded(setup.config["seed"], "pictures"):
            figures |= _latent.figures(models[-1], setup, len(x["data"]))
    drawing.write(run, "sample", figures)


def _drawn(model: nn.Module, its: Setup, asked: Setup) -> Tensor:
    """Samples of a model in original units, whoever asks for them."""
    settings = asked.config["sample"]
    with seeded(asked.config["seed"], "sample"):
        return its.original(samples(model, settings["count"], its.base_logits, settings["burn_in"]))
