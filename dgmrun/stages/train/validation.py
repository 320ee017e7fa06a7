"""Validation: log-likelihood with its standard error, the gap to the training data, early stopping, and plots."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from dgmrun.estimators.density import less, log_density, log_likelihood
from dgmrun.estimators.shares import of_blocks
from dgmrun.estimators.units import in_original_units
from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Trainer
from dgmrun.protocols.models import roles
from dgmrun.protocols.text import captions
from dgmrun.protocols.values import Batch, Estimate, Evidence
from dgmrun.rng import seeded
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.checkpoints import Checkpoints
from dgmrun.stages.train.limits import Limits
from dgmrun.stages.train.rise import Scores, rise
from dgmrun.workbench.partition import unnormalised
from dgmrun.workbench.selection import made, quick_method
from dgmrun.workbench.setup import Setup

Score = Callable[[Batch], tuple[Tensor, Estimate]]
Scorer = Callable[[Any], Score]
WATCHED = ("nll", "bound", "loss")
PICTURED, BLOCK = 100, 1000
"""Number of examples to plot, and of those on which an objective is evaluated at a time."""


class Examples(NamedTuple):
    """Examples on the device, and the log-Jacobian that converts their log-probabilities to original units, in nats."""

    batch: Batch
    log_jacobian: Tensor


def examples(setup: Setup, split: str, device: torch.device, most: int | None = None) -> Examples:
    """Returns the examples of a split, or some of them at random, the same for every run."""
    places = setup.places(split, most)
    batch = setup.seen(setup.scored(split).subset(places), device)
    return Examples(batch, setup.log_jacobian(split)[places].to(device))


class Validation(Callback):
    """Periodic validation: negative log-likelihood or a bound on it, the best checkpoint, early stopping, and plots.

    It uses random numbers of its own, so that it does not affect training. Several processes share the examples out.

    Args:
        scorer: makes an inexpensive log-likelihood (in nats) from a model; None if there is none, in which case
            the objective's `watched` values are used.
        valid: the validation split.
        train: as many training examples, to measure the gap; None if none is trained on, but samples of a teacher.
        every: iterations between validations.
        patience: number of validations without improvement before training stops; None for no early stopping.
        seed: the run's seed.
        limits: stops the training.
        board: logs figures and plots.
        checkpoints: saves the best checkpoint.
    """

    def __init__(
        self,
        scorer: Scorer | None,
        valid: Examples,
        train: Examples | None,
        every: int,
        patience: int | None,
        seed: int,
        limits: Limits,
        board: Board,
        checkpoints: Checkpoints,
    ) -> None:
        self.scorer, self.valid, self.train = scorer, valid, train
        self.every, self.patience, self.seed = every, patience, seed
        self.limits, self.board, self.checkpoints = limits, board, checkpoints
        self.best, self.waited, self.step = math.inf, 0, 0
        self.latest: dict[str, float] = {}
        self.now: Scores | None = None
        self.least: Scores | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the best figure so far and its scores, the validations since then, and the latest figures."""
        least = None if self.least is None else self.least._asdict()
        return {"best": self.best, "waited": self.waited, "step": self.step, "latest": self.latest, "least": least}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self.best, self.waited, self.step = (
            float(state_dict["best"]),
            int(state_dict["waited"]),
            int(state_dict["step"]),
        )
        self.latest = {str(name): float(value) for name, value in state_dict["latest"].items()}
        least = state_dict.get("least") or {}
        self.least = Scores.restored(least) if "valid" in least else None  # an older checkpoint has none
        if self.latest and not {*WATCHED} & self.latest.keys():
            raise ValueError(f"its latest figures must be among {', '.join(WATCHED)}, but are {', '.join(self.latest)}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Validates every `every` iterations, and after the last one."""
        last = trainer.should_stop and self.limits.reason != "interrupted"
        if pl_module.iteration != self.step and (pl_module.iteration % self.every == 0 or last):
            self.step = pl_module.iteration
            with seeded(self.seed, "validation", self.step):
                self._validate(trainer, pl_module)

    def _validate(self, trainer: Trainer, objective: Objective) -> None:
        valid = objective.as_precise(self.valid.batch)
        with objective.undisturbed():
            if trainer.world_size > 1:
                for buffer in objective.buffers():
                    distributed.broadcast(buffer, 0)
            terms = self._terms(objective, valid)
            shown = objective.pictures(valid.rows(slice(PICTURED)))  # by all processes, so that none has to wait long
            self.board.pictures(shown, captions(objective.model, objective), self.step)
        self.board.scalars({f"valid/{name}": value for name, value in terms.items()}, self.step)
        self.board.words(objective.doubts(), self.step)
        self.latest = trainer.strategy.broadcast(terms)
        if self.latest[self.watched] < self.best:
            self.best, self.waited, self.least = self.latest[self.watched], 0, self.now
            self.checkpoints.save_best(trainer)
        else:
            self.waited += 1
            if self.patience is not None and self.waited >= self.patience:
                self.limits.stop(trainer, "patience")

    def _terms(self, objective: Objective, valid: Batch) -> dict[str, float]:
        if self.scorer is None:
            watched = of_blocks(lambda block: (objective.watched(block).detach(), len(block.x)), valid, BLOCK)
            return _spread(*map(list, zip(*watched, strict=True)))
        score = self.scorer(objective.evaluated)
        log_prob, estimate = in_original_units(score(valid), self.valid.log_jacobian)
        log_prob_train = None
        if self.train is not None:
            train = objective.as_precise(self.train.batch)
            log_prob_train, _ = in_original_units(score(train), self.train.log_jacobian)
        self.now = Scores.of(log_prob, log_prob_train, estimate)
        name = "bound" if estimate.kind == "lower_bound" else "nll"
        return {
            name: -estimate.value,
            f"{name}_standard_error": math.nan if estimate.standard_error is None else estimate.standard_error,
            **({} if log_prob_train is None else {"gap": float(log_prob_train.mean() - log_prob.mean())}),
            **rise(self.now, self.least, estimate.diagnostics.get("population")),
        } | ({"bound": -estimate.value} if estimate.kind == "exact" else {})  # on the chart of those with a bound alone

    @property
    def watched(self) -> str:
        """The figure used for the best checkpoint and early stopping: nll, else a bound on it, else the loss."""
        return next(name for name in WATCHED if name in self.latest)


def _spread(watched: list[Tensor], sizes: list[int]) -> dict[str, float]:
    """Returns the mean of the watched values and its standard error, with blocks weighted by their examples."""
    values = torch.cat(watched)
    shares = torch.cat(
        [block.new_full((len(block),), size / len(block)) for block, size in zip(watched, sizes, strict=True)]
    )
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"loss": float(values @ shares / shares.sum()), "loss_standard_error": error}


def scorer(setup: Setup, model: nn.Module) -> Scorer | None:
    """Returns an inexpensive log-likelihood of a model, if any: its own, a bound, or one based on a quick log Z."""
    of_x = quick_method(made(setup, "likelihood", model), model)
    if roles(type(model)).needs_log_z:
        return partial(_over_log_z, setup, of_x)
    return None if of_x is None else lambda model: lambda batch: of_x(model, _evidence(setup, batch))


def _evidence(setup: Setup, batch: Batch) -> Evidence:
    return Evidence(batch, batch, population=setup.population("valid"))


def _over_log_z(setup: Setup, of_x: Any, model: Any) -> Score:
    """Returns the log-likelihood of a model, relative to a new estimate of log Z of the model or of its top layer."""
    part, x = unnormalised(model, setup)
    log_z: Estimate = quick_method(made(setup, "log_z", part), part)(part, x)

    def score(batch: Batch) -> tuple[Tensor, Estimate]:
        if part is model:
            log_f = log_density(model, batch)
            return log_f - log_z.value, log_likelihood(log_f, log_z, setup.population("valid"))
        log_f, estimate = of_x(model, _evidence(setup, batch))
        return log_f - log_z.value, less(estimate, log_z)

    return score
