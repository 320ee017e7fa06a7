r"""Variance of the gradient of a run's own objective against the number n of examples that it is a mean over.

Batches are drawn as those of training are, n different ones of N examples, so that

    var g_n = sigma^2 / n (N - n) / (N - 1)

where sigma^2 is the variance of the gradient of one example (Cochran, 1977, Sampling techniques, theorem 2.2): it falls
as 1/n as long as n is far below N, and the gradient of all examples has none. Noise of the objective itself, such as
samples of z, falls as 1/n without the second factor.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import Adam

from dgmrun.errors import Mistake
from dgmrun.protocols.models import fits
from dgmrun.protocols.progress import tracked
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages.gradients.measured import Measured, batch_of
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.objectives.base import Objective

log = logging.getLogger("dgmrun")


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
    """Refuses sizes that there are no such batches of, and an objective whose loss is no mean over examples.

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
    place = config["tuning"]
    for size in _sizes(setup):
        source = in_memory(setup, setup.device, 0, 1, batch_size=size)
        one = Measured(f"n={size}", objective, {"objective": name, "batch_size": size, "of": source.size})
        with bar(f"gradients {one.name}"), seeded(seed, "gradients", one.name):
            for _ in tracked(range(config["num_samples"])):
                place += 1
                one.add(batch_of(source, place))
        every.append(one)
    return every


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
    """Returns the objective of the run, which must be a mean over examples.

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
    optimization = Optimization(partial(Adam, lr=setup.config["gradients"]["lr"]))
    objective: Objective = build.maker("objective", node)(model, optimization)
    if isinstance(objective, Variational):
        objective.unscale()
    return objective
