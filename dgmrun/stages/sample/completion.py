"""Completions of test examples, of which a model is told the upper half: completions.npz and a plot."""

from __future__ import annotations

import logging
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.paths import short
from dgmrun.pictures import drawing, gallery
from dgmrun.protocols.samplers import Imputing
from dgmrun.protocols.text import counted
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.workbench.setup import Setup

log = logging.getLogger("dgmrun")
EACH = 6
"""Number of completions of an example, beside it and its upper half."""


def check(setup: Setup, model: object) -> None:
    """Refuses what `sample.complete` cannot be.

    Raises:
        Mistake: it is unknown, or the model draws no lower half given the upper one.
    """
    asked = setup.config["sample"]["complete"]
    if asked not in (None, "top"):
        raise Mistake(f"`sample.complete` must be top or null, but is {asked or 'empty'}")
    if asked is not None and not isinstance(model, Imputing):
        raise Mistake(f"`sample.complete` must be null for a model that draws no row given those above, but is {asked}")
    if asked is not None and setup.event.shape[1] < 2:
        raise Mistake(f"`sample.complete` must be null for pictures of one row, but is {asked}")
    if asked is not None and setup.config["dataset"]["pixel_order"] == "column":
        raise Mistake(f"`sample.complete` must be null where pixels are ordered by columns, but is {asked}")
    if asked is not None and setup.config["sample"]["given"] is not None:
        raise Mistake(f"`sample.complete` must be null where `sample.given` is not, but is {asked}")


def draw(run: Run, setup: Setup) -> None:
    """Draws, saves and plots completions of test examples."""
    data, x = completions(setup.trained_model(run), setup)
    run.write_arrays("completions.npz", x=x.numpy(), data=data.numpy())
    run.merge({"completions": {"count": len(x), "of": vars(run.identity())}})
    with drawing.harmless("the completions"):
        plot = gallery.side_by_side({"data, its upper half, and completions": _sheet(setup, data, x)}, EACH + 2)
        drawing.write(run, "sample", {"completions": plot}, setup.formats)
    file = short(run.path / "figures" / f"completions.{' and .'.join(setup.formats)}")
    log.info("sample      %s of %s: %s", counted(len(x), "completion"), counted(len(data), "example"), file)


def completions(model: Any, setup: Setup) -> tuple[Tensor, Tensor]:
    """Returns some test examples, and EACH completions of each, given its context if any, in original units."""
    test, places = setup.scored("test"), setup.places("test", max(1, setup.config["sample"]["count"] // EACH))
    batch = setup.seen(test.rows(places.repeat_interleave(EACH)))
    with seeded(setup.config["seed"], "sample"), bar("sample"):
        x = model.impute(batch.x, setup.event.shape[1] // 2, batch.context)
    return setup.original(batch.x[::EACH]), setup.original(x)


def _sheet(setup: Setup, data: Tensor, x: Tensor) -> ndarray:
    """Returns a row for each example: the example, its upper half, and its completions."""
    shown, drawn = setup.shown(data).float(), setup.shown(x).float()
    half = shown.clone()
    half[:, :, half.shape[2] // 2 :] = 0.5
    every = torch.stack([shown, half, *drawn.unflatten(0, (-1, EACH)).unbind(1)], 1)
    return every.flatten(0, 1).numpy()
