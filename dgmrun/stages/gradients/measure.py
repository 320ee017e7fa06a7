"""Bias and variance of gradient estimators at the parameters of a run.

All estimators are evaluated on the same sequence of batches, each drawn independently from the whole training split, so
that their times and variances are comparable. Baselines and control variates are trained first, with the parameters of
the model fixed. Scaling of the gradient by a known factor is switched off.
"""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING

import torch
import yaml
from torch import Tensor, nn
from torch.optim import Adam

from dgmrun.errors import Mistake, RunFailed
from dgmrun.gradients import exact
from dgmrun.gradients.moments import Moments
from dgmrun.paths import options
from dgmrun.protocols.models import BinaryLatents, Reparameterised, fits
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch, Estimate, half_width
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.run.figures import Figure, Identity
from dgmrun.workbench import build
from dgmrun.workbench.selection import chosen
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.objectives.variational.base import Variational

log = logging.getLogger("dgmrun")
EXACT_BITS = 16
"""Largest number of binary units over whose states the exact gradient sums: at most 2^16 states for each batch."""


def measure(run: Run, setup: Setup) -> None:
    """Measures the selected estimators; prints a table and plots the results."""
    from dgmrun.pictures import drawing
    from dgmrun.pictures.gradients import draw
    from dgmrun.report.gradients import table

    every = measured(setup, setup.model_of(run))
    figures = {name: one.figure(setup, run.identity()) for name, one in every.items()}
    for name, figure in figures.items():
        run.record("gradients", name, figure)
    log.info("%s", table(figures))
    with drawing.harmless("the gradients"):
        drawing.write(run, "gradients", {"gradients": draw(figures)}, setup.formats)


def objectives(setup: Setup, model: nn.Module) -> dict[str, Variational]:
    """Returns the objectives that `gradients.methods` selects, applied to the model.

    Raises:
        Mistake: the model has no estimators, or a selected one is unknown or does not apply.
    """
    config = setup.config["gradients"]
    if config["lr"] <= 0:
        raise Mistake(f"`gradients.lr` must be positive, but is {config['lr']}")
    if config["exact_bits"] > EXACT_BITS:
        raise Mistake(f"`gradients.exact_bits` must be at most {EXACT_BITS}, but is {config['exact_bits']}")
    if isinstance(model, Reparameterised) and model.is_local:
        raise Mistake("`model.posterior` must be amortised for gradients, as a run keeps no table, but is local")
    made, refused = _fitting(setup, model)
    if not made:
        name = setup.config["choices"]["model"]
        raise Mistake(f"`gradients` must have a latent variable model, but `model` is {name}")
    if config["methods"] == "auto":
        for name, reason in refused.items():
            log.info("gradients   without %s: %s", name, reason)
        return made
    both: dict[str, Variational | Mistake] = {**made, **refused}
    for name in chosen("gradients", config["methods"], both):
        if name in refused:
            raise refused[name]
    return chosen("gradients", config["methods"], made)


def _fitting(setup: Setup, model: nn.Module) -> tuple[dict[str, Variational], dict[str, Mistake]]:
    """Returns the objectives that apply to the model, and the reasons why others do not.

    The run's own objective has the settings of the run; all others have their default settings.
    """
    from dgmrun.objectives.base import Optimization
    from dgmrun.objectives.variational.base import Variational

    optimization = Optimization(partial(Adam, lr=setup.config["gradients"]["lr"]))
    files = options("objective", setup.search_path)
    nodes = {name: yaml.safe_load(file.read_text()) for name, file in files.items()}
    nodes |= {setup.config["choices"]["objective"]: setup.config["objective"]}
    made: dict[str, Variational] = {}
    refused: dict[str, Mistake] = {}
    for name, node in nodes.items():
        kind = build.target(node)
        if issubclass(kind, Variational) and fits(type(model), kind.requires):
            try:
                made[name] = build.maker("objective", node)(model, optimization)
            except Mistake as mistake:
                refused[name] = mistake
    return made, refused


def measured(setup: Setup, model: nn.Module) -> dict[str, Measured]:
    """Returns the measurements of all selected estimators."""
    from dgmrun.stages.train.fit import in_memory

    config, seed = setup.config["gradients"], setup.config["seed"]
    with seeded(seed, "gradients"):
        every = {name: Measured(name, objective) for name, objective in objectives(setup, model).items()}
    source = in_memory(setup, setup.device, rank=0, world_size=1)
    for name, one in every.items():
        with seeded(seed, "gradients", name):
            one.learn(source, config["tuning"])
    with bar("gradients"):
        for place in tracked(range(config["num_samples"])):
            batch = _batch(source, config["tuning"] + place)
            truths: dict[int, Tensor | None] = {}
            for name, one in every.items():
                if one.k not in truths:
                    truths[one.k] = one.truth(batch, config["exact_bits"])
                with seeded(seed, "gradients", name, place):
                    one.add(batch, truths[one.k])
            if (place + 1) % 100 == 0:
                log.info("gradients   %d of %d", place + 1, config["num_samples"])
    return every


def _batch(source: Source, place: int) -> Batch:
    """Returns the first batch of the epoch `place`: batches of different epochs are independent."""
    source.load_state_dict({"epoch": place, "position": 0})
    return next(iter(source))


class Measured:
    """Measurements of one gradient estimator.

    Args:
        name: name of the estimator.
        objective: the objective that defines it.
    """

    def __init__(self, name: str, objective: Variational) -> None:
        self.name, self.objective = name, objective
        self.objective.unscale()
        self.k = objective.k if objective.is_importance_weighted else 1
        self.gradients, self.errors, self.truths = Moments(), Moments(), Moments()
        self.seconds, self.examples = 0.0, 0

    def learn(self, source: Source, steps: int) -> None:
        """Trains the objective's own parameters, with the parameters of the model fixed."""
        self.objective.to(next(self.objective.model.parameters()).device).prepare(source)
        own = self.objective.own_parameters()
        optimizer = self.objective.optimization.optimizer([{"params": own}]) if own else None
        for place in range(steps if own or self.objective.rank_state else 0):
            loss, _ = self.objective.loss(_batch(source, place))
            if optimizer is not None:
                for part, slope in zip(own, torch.autograd.grad(loss, own), strict=True):
                    part.grad = slope
                optimizer.step()
        self._gradient(self.objective.loss(_batch(source, steps))[0])  # warm-up: the first gradient takes longer

    def truth(self, batch: Batch, most: int) -> Tensor | None:
        """Returns the exact gradient of minus the bound, [parameters], or None if that takes over 2^`most` states."""
        model = self.objective.model
        if not isinstance(model, BinaryLatents) or self.k * model.latent_bits() > most:
            return None
        units = [z.shape[-1] for z in self.objective.probe().z]
        return self._gradient(-exact.bound(partial(self.objective.trace, batch), batch.x, units, self.k).mean())

    def add(self, batch: Batch, truth: Tensor | None) -> None:
        """Adds the gradient estimate of one batch."""
        self.examples = len(batch.x)
        started = time.perf_counter()
        g = self._gradient(self.objective.loss(batch)[0])
        self.seconds += time.perf_counter() - started
        self.gradients.add(g)
        if truth is not None:
            self.errors.add(g - truth)
            self.truths.add(truth)

    def _gradient(self, value: Tensor) -> Tensor:
        parameters = [part for part in self.objective.model.parameters() if part.requires_grad]
        parts = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        g = torch.cat([part.flatten() for part in parts])
        if not torch.isfinite(g).all():
            raise RunFailed(f"the gradient of {self.name} must be finite, but is not", "lower gradients.lr")
        return g

    def figure(self, setup: Setup, of: Identity) -> Figure:
        """Returns the figure: the log of the variance averaged over parameters, with diagnostics."""
        variance, error = self.gradients.variance()
        if variance == 0:
            raise RunFailed(f"gradients of {self.name} must differ, but are all the same: the model is saturated")
        value, standard_error = math.log(variance), error / variance
        half = half_width(standard_error, len(self.gradients.halves))
        num, config = self.gradients.num, setup.config["gradients"]
        length = self.truths.length() if self.truths.num else 0.0
        found = Estimate(
            "log_variance",
            value=value,
            standard_error=standard_error,
            interval=(value - half, value + half),
            kind="estimate",
            bias="down",
            samples=num,
            settings={"bound": f"L_{self.k}" if self.k > 1 else "elbo", "k": self.objective.k, **config},
            diagnostics={
                "signal_to_noise": self.gradients.signal_to_noise(),
                "milliseconds": 1000 * self.seconds / num,
                "bias": self.errors.length() / length if length else None,
                "bias_by_chance": self.errors.noise() / length if length else None,
            },
        )
        given = setup.config["given"]
        return Figure.made(found, of=of, split="train", examples=self.examples, given=given, seconds=self.seconds)
