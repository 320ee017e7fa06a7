r"""Variance of the gradient of a run's own objective against the number n of examples that it is a mean over.

Batches are drawn as those of training are, n different ones of N examples, so that

    var g_n = sigma^2 / n (N - n) / (N - 1)

where sigma^2 is the variance of the gradient of one example (Cochran, 1977, Sampling techniques, theorem 2.2): it falls
as 1/n as long as n is far below N, and the gradient of all examples has none. Noise drawn for each example, such as
samples of z or bits of grey levels, has no second factor: where there is some, all examples have a variance, too, and
nothing is said of that of one.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Adam

from dgmrun.errors import Mistake
from dgmrun.protocols.models import fits
from dgmrun.protocols.orders import OrderEnsemble, Orderless
from dgmrun.protocols.progress import tracked
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages.gradients.measured import Measured, batch_of, gradient
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.data.source import InMemorySource
    from dgmrun.objectives.base import Objective

log = logging.getLogger("dgmrun")
DRAWS = 20
"""Gradients of the same examples that are compared to tell whether the objective draws noise."""


def measure(run: Run, setup: Setup) -> None:
    """Measures the gradient for each number of examples; prints a table and plots the results."""
    from dgmrun.pictures import drawing
    from dgmrun.pictures.gradients import draw_sizes
    from dgmrun.report.gradients import table_of_sizes

    every = measured(setup, setup.model_of(run))
    figures = [one.figure(setup, run.identity()) for one in every]
    for one, figure in zip(every, figures, strict=True):
        run.record("gradients", one.name, figure)
    log.info("%s", table_of_sizes(figures))
    with drawing.harmless("the gradients"):
        drawing.write(run, "gradients", {"batch_sizes": draw_sizes(figures)}, setup.formats)


def check(setup: Setup, model: nn.Module) -> None:
    """Refuses sizes that there are no such batches of, and a loss that is no mean over independent examples.

    Raises:
        Mistake: it is one of these; the message names the key.
    """
    _sizes(setup)
    _objective(setup, model)


def measured(setup: Setup, model: nn.Module) -> list[Measured]:
    """Returns the measurements for each number of examples, of batches that are independent of all others."""
    from dgmrun.stages.train.fit import in_memory

    config, seed, every = setup.config["gradients"], setup.config["seed"], list[Measured]()
    with seeded(seed, "gradients"):
        objective = _objective(setup, model)
        name = setup.config["choices"]["objective"]
        Measured(name, objective, {}).learn(in_memory(setup, setup.device, 0, 1), config["tuning"])
    sources = {size: in_memory(setup, setup.device, 0, 1, batch_size=size) for size in _sizes(setup)}
    *_, largest = sources.values()
    told = {"objective": name, "of": largest.size, "is_noisy": is_noisy(objective, largest, seed)}
    place = config["tuning"]
    for size, source in sources.items():
        one = Measured(f"n={size}", objective, {**told, "batch_size": size})
        with bar(f"gradients {one.name}"), seeded(seed, "gradients", one.name):
            for _ in tracked(range(config["num_samples"])):
                place += 1
                one.add(batch_of(source, place))
        every.append(one)
    return every


def is_noisy(objective: Objective, source: InMemorySource, seed: int) -> bool:
    """Returns whether gradients of the same examples differ, by noise of the objective or of the data."""
    if source.draw is not None:
        return True
    batch = batch_of(source, 0)

    def drawn(place: int) -> Tensor:
        with seeded(seed, "noise", place):
            return gradient("the objective", objective.model, objective.loss(batch)[0])

    first = drawn(0)
    return any(not torch.equal(drawn(place), first) for place in range(1, DRAWS))


def _sizes(setup: Setup) -> list[int]:
    """Returns the numbers of examples, in order.

    Raises:
        Mistake: one is no number of examples that leaves some out.
    """
    asked, num = setup.config["gradients"]["batch_sizes"], len(setup.data.splits["train"].x)
    sizes = asked if isinstance(asked, list) else [asked]
    if num == 1:
        raise Mistake(f"`gradients.batch_sizes` must be null where there is one training example, but is {asked}")
    if not sizes or not all(type(size) is int and 1 <= size < num for size in sizes):
        raise Mistake(
            f"`gradients.batch_sizes` must be null or whole numbers from 1 to {num - 1}, below the {num} training "
            f"examples, but is {asked}",
            f"gradients.batch_sizes={'[1,10]' if num > 10 else '[1]'}",
        )
    return sorted(set(sizes))


def _objective(setup: Setup, model: nn.Module) -> Objective:
    """Returns the objective of the run, which must be a mean over examples that contribute independently.

    Raises:
        Mistake: it is not.
    """
    from dgmrun.objectives.base import Optimization
    from dgmrun.objectives.variational.base import Variational

    node, name = setup.config["objective"], setup.config["choices"]["objective"]
    kind = build.target(node)
    if not fits(type(model), kind.requires) or not kind.is_mean:
        raise Mistake(
            "`objective` must be one that fits the model and is a mean over examples for gradients.batch_sizes, "
            f"but is {name}"
        )
    if isinstance(model, OrderEnsemble) and not isinstance(model, Orderless) and model.num_orders() > 1:
        raise Mistake(
            "`model` must have one order for gradients.batch_sizes, as training draws one for a whole batch, but has "
            f"{model.num_orders()}",
            "measure a run whose model has one order or mask",
        )
    if any("BatchNorm" in type(module).__name__ for module in model.modules()):
        raise Mistake(
            "`model` must have no batch normalisation for gradients.batch_sizes, as it makes the examples of a batch "
            "depend on each other, but has some",
            "measure a run whose model has another normalisation, such as model.norm=actnorm",
        )
    optimization = Optimization(partial(Adam, lr=setup.config["gradients"]["lr"], fused=True))
    objective: Objective = build.maker("objective", node)(model, optimization)
    if isinstance(objective, Variational):
        objective.unscale()
    return objective
