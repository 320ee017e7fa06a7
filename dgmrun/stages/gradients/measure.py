"""Bias and variance of gradient estimators at the parameters of a run.

All estimators are evaluated on the same sequence of batches, each drawn independently from the whole training split, so
that their times and variances are comparable. Baselines and control variates are trained first, with the parameters of
the model fixed. Scaling of the gradient by a known factor is switched off.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml
from torch import Tensor, nn
from torch.optim import Adam

from dgmrun.errors import Mistake
from dgmrun.gradients import exact
from dgmrun.paths import options
from dgmrun.protocols.models import BinaryLatents, Reparameterised, fits
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Batch
from dgmrun.report.progress import bar
from dgmrun.rng import seeded
from dgmrun.run.directory import Run
from dgmrun.stages.gradients.measured import Measured, batch_of, gradient
from dgmrun.workbench import build
from dgmrun.workbench.selection import chosen
from dgmrun.workbench.setup import Setup

if TYPE_CHECKING:
    from dgmrun.objectives.variational.base import Variational

log = logging.getLogger("dgmrun")
EXACT_BITS = 16
"""Largest number of binary units over whose states the exact gradient sums: at most 2^16 states for each batch."""
FEW, KEPT = 10, 2**26
"""Exact gradients of examples are kept that are in so many batches, if they come to no more numbers than that."""


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


def check_settings(setup: Setup, model: nn.Module) -> None:
    """Refuses invalid settings.

    Raises:
        Mistake: one is invalid; the message names the key.
    """
    config = setup.config["gradients"]
    if config["lr"] <= 0:
        raise Mistake(f"`gradients.lr` must be positive, but is {config['lr']}")
    if config["exact_bits"] > EXACT_BITS:
        raise Mistake(f"`gradients.exact_bits` must be at most {EXACT_BITS}, but is {config['exact_bits']}")
    if isinstance(model, Reparameterised) and model.is_local:
        raise Mistake("`model.posterior` must be amortised for gradients, as a run keeps no table, but is local")
    if config["batch_sizes"] is not None and config["methods"] != "auto":
        raise Mistake(
            "`gradients.methods` must be auto with gradients.batch_sizes, which are of the run's own objective, but is "
            f"{config['methods']}"
        )


def objectives(setup: Setup, model: nn.Module) -> dict[str, Variational]:
    """Returns the objectives that `gradients.methods` selects, applied to the model.

    Raises:
        Mistake: the model has no estimators, or a selected one is unknown or does not apply.
    """
    config = setup.config["gradients"]
    made, refused = _fitting(setup, model)
    if not made:
        name = setup.config["choices"]["model"]
        raise Mistake(
            f"`gradients` must have a latent variable model, but `model` is {name}",
            "gradients.batch_sizes=[1,10] measures the objective of any run that is a mean over examples",
        )
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

    optimization = Optimization(partial(Adam, lr=setup.config["gradients"]["lr"], fused=True))
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
        selected = objectives(setup, model)
        every = {name: Measured(name, objective, _settings(objective)) for name, objective in selected.items()}
    source = in_memory(setup, setup.device, rank=0, world_size=1)
    for name, one in every.items():
        selected[name].unscale()
        with bar(f"gradients {name}"), seeded(seed, "gradients", name):
            one.learn(source, config["tuning"])
    come_back = source.draw is None and source.size * FEW <= config["num_samples"] * source.batch_size
    is_kept = come_back and source.size * sum(part.numel() for part in model.parameters()) <= KEPT
    truths = {_k(one): Truth(one, config["exact_bits"], is_kept) for one in selected.values()}
    with bar("gradients"):
        for place in tracked(range(config["num_samples"])):
            batch = batch_of(source, config["tuning"] + place)
            known = {k: one(batch) for k, one in truths.items()}
            for name, objective in selected.items():
                with seeded(seed, "gradients", name, place):
                    every[name].add(batch, known[_k(objective)])
            if (place + 1) % 100 == 0:
                log.info("gradients   %d of %d", place + 1, config["num_samples"])
    return every


class Truth:
    """The exact gradients of minus the bound of an objective.

    Args:
        objective: the objective.
        most: largest number of binary units, times k, over whose states it sums.
        is_kept: whether the gradient of each example is computed once, and kept for the other batches that it is in.
    """

    def __init__(self, objective: Variational, most: int, is_kept: bool) -> None:
        model, self.objective, self.k, self.is_kept = objective.model, objective, _k(objective), is_kept
        self.is_known = isinstance(model, BinaryLatents) and self.k * model.latent_bits() <= most
        self.units = [z.shape[-1] for z in objective.probe().z] if self.is_known else []
        self.kept: dict[int, Tensor] = {}

    def __call__(self, batch: Batch) -> Tensor | None:
        """Returns the gradient of the mean over a batch, [parameters]; None if there are too many states."""
        if not self.is_known:
            return None
        if not self.is_kept:
            return self._of(batch)
        total: Any = sum(self._of_example(batch, row) for row in range(len(batch.x)))
        return total / len(batch.x)

    def _of_example(self, batch: Batch, row: int) -> Tensor:
        place = int(batch.index[row])
        if place not in self.kept:
            self.kept[place] = self._of(batch.rows(slice(row, row + 1)))
        return self.kept[place]

    def _of(self, batch: Batch) -> Tensor:
        bound = exact.bound(partial(self.objective.trace, batch), batch.x, self.units, self.k)
        return gradient("the bound", self.objective.model, -bound.mean())


def _k(objective: Variational) -> int:
    """Returns the number of samples in the bound of an objective."""
    return objective.k if objective.is_importance_weighted else 1


def _settings(objective: Variational) -> dict[str, Any]:
    k = _k(objective)
    return {"bound": f"L_{k}" if k > 1 else "elbo", "k": objective.k}
