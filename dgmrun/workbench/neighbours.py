"""Plot of samples beside their nearest training examples, which tells whether they are copies of these."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor

from dgmrun.estimators.neighbours import nearest
from dgmrun.estimators.sampling import Sampled
from dgmrun.protocols.features import Features, named
from dgmrun.protocols.models import Sampler
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.workbench.features import features, standardised, training
from dgmrun.workbench.setup import Setup

COUNT, NEAREST = 10, 5
"""Number of samples, and of the training examples beside each."""


def draw(run: Run, setup: Setup) -> None:
    """Plots some samples, each followed by its nearest training examples, by x and by features of a run, if named."""
    from dgmrun.pictures import drawing, gallery

    with drawing.harmless("the nearest training examples"):
        train, by = training(setup), {"x": standardised(setup)}
        if setup.config["fidelity"]["features"] is not None:
            of_run = features(setup)
            by[named(of_run.told) or ""] = of_run
        x = _drawn(run, setup)
        panels = {
            f"samples, and the nearest of training by {name}": _sheet(setup, x, train, of) for name, of in by.items()
        }
        drawing.write(run, "fidelity", {"neighbours": gallery.side_by_side(panels, 1 + NEAREST)}, setup.formats)


def _drawn(run: Run, setup: Setup) -> Tensor:
    """Returns samples in original units, given contexts of test examples, if any."""
    model: Any = setup.trained_model(run)
    test = setup.scored("test")
    given = setup.seen(test.rows(torch.arange(COUNT) % len(test.x))).context
    if not isinstance(model, Sampler):
        model = Sampled(model, setup.training_x, setup.config["fidelity"]["burn_in"])
    with seeded(setup.config["seed"], "fidelity", "neighbours"):
        return setup.original(model.sample(COUNT, given))


def _sheet(setup: Setup, x: Tensor, train: Tensor, by: Features) -> ndarray:
    """Returns a row for each sample: itself and its nearest training examples, the nearest first."""
    _, which = nearest(by.of(x), by.of(train), min(NEAREST, len(train)))
    rows = zip(x[:, None].to(train.dtype), train[which], strict=True)
    return setup.shown(torch.cat(list(chain.from_iterable(rows)))).float().numpy()
