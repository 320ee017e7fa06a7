"""Validation that says something true: a log-likelihood with its error bar, and how far it lags behind training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from dgmrun.estimators.density import less, log_density, log_likelihood
from dgmrun.estimators.units import in_original_units
from dgmrun.objectives.base import Objective
from dgmrun.protocols.models import roles
from dgmrun.protocols.values import Batch, Estimate, Evidence
from dgmrun.rng import seeded
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.checkpoints import Checkpoints
from dgmrun.stages.train.limits import Limits
from dgmrun.workbench.partition import unnormalised
from dgmrun.workbench.selection import made, quick_method
from dgmrun.workbench.setup import Setup

Score = Callable[[Batch], tuple[Tensor, Estimate]]
Scorer = Callable[[Any], Score]
WATCHED = ("nll", "bound", "loss")
PICTURED, BLOCK = 100, 1000
"""Examples that pictures are made of, and that an objective watches together."""


class Examples(NamedTuple):
    """Examples on the device, and what their log-probabilities lack to be in original units, in nats."""

    batch: Batch
    log_jacobian: Tensor


class Validation(Callback):
    """Every so many iterations: nll of the validation split or a bound on it, the best so far, patience, pictures.

    Nothing that it draws is seen by the training. Of several processes the first validates.

    Args:
        scorer: from a model to a cheap score of examples, in nats; None where nothing is known of its likelihood, and
            the loss of the objective has to do.
        valid: the validation split.
        train: as many training examples, for the gap.
        every: iterations between two validations.
        patience: validations without improvement before training stops; None: never.
        seed: the run's seed.
        limits: told when patience is over.
        board: where figures and pictures go.
        checkpoints: told to keep the best.
    """

    def __init__(
        self,
        scorer: Scorer | None,
        valid: Examples,
        train: Examples,
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

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far, and for how many validations nothing was better."""
        return {"best": self.best, "waited": self.waited, "step": self.step, "latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self.best, self.waited, self.step = (
            float(state_dict["best"]),
            int(state_dict["waited"]),
            int(state_dict["step"]),
        )
        self.latest = {str(name): float(value) for name, value in state_dict["latest"].items()}
        if self.latest and not {*WATCHED} & self.latest.keys():
            raise ValueError(f"its latest figures must be among {', '.join(WATCHED)}, but are {', '.join(self.latest)}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Validates every `every` iterations, and at the last."""
        last = trainer.should_stop and self.limits.reason != "interrupted"
        if pl_module.iteration != self.step and (pl_module.iteration % self.every == 0 or last):
            self.step = pl_module.iteration
            with seeded(self.seed, "validation", self.step):
                self._validate(trainer, pl_module)

    def _validate(self, trainer: Trainer, objective: Objective) -> None:
        self.latest = trainer.strategy.broadcast(self._terms(objective) if trainer.is_global_zero else {})
        if trainer.is_global_zero:
            self.board.scalars({f"valid/{name}": value for name, value in self.latest.items()}, self.step)
            self.board.words(objective.doubts(), self.step)
            self.board.pictures(objective.pictures(self.valid.batch.rows(slice(PICTURED))), self.step)
        if self.latest[self.watched] < self.best:
            self.best, self.waited = self.latest[self.watched], 0
            self.checkpoints.save_best(trainer)
        else:
            self.waited += 1
            if self.patience is not None and self.waited >= self.patience:
                self.limits.stop(trainer, "patience")

    def _terms(self, objective: Objective) -> dict[str, float]:
        if self.scorer is None:
            with objective.undisturbed():
                return _spread([objective.watched(block) for block in self.valid.batch.blocks(BLOCK)])
        score = self.scorer(objective.evaluated)
        log_prob, estimate = in_original_units(score(self.valid.batch), self.valid.log_jacobian)
        log_prob_train, _ = in_original_units(score(self.train.batch), self.train.log_jacobian)
        name = "bound" if estimate.kind == "lower_bound" else "nll"
        return {
            name: -estimate.value,
            f"{name}_standard_error": estimate.standard_error or math.nan,
            "gap": float(log_prob_train.mean() - log_prob.mean()),
        }

    @property
    def watched(self) -> str:
        """The figure that the best checkpoint and patience follow: nll, else a bound on it, else the loss."""
        return next(name for name in WATCHED if name in self.latest)


def _spread(blocks: list[Tensor]) -> dict[str, float]:
    """The mean of what was watched, and its standard error."""
    values = torch.cat([block.detach() for block in blocks])
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"loss": float(values.mean()), "loss_standard_error": error}


def scorer(setup: Setup, model: nn.Module) -> Scorer | None:
    """The quick likelihood of a model, if it has one: its own, a bound, or one that rests on a quick log Z."""
    of_x = quick_method(made(setup, "likelihood", model), model)
    if roles(type(model)).needs_log_z:
        return partial(_over_log_z, setup, of_x)
    return None if of_x is None else lambda model: lambda batch: of_x(model, Evidence(batch, batch))


def _over_log_z(setup: Setup, of_x: Any, model: Any) -> Score:
    """The score of a model whose log Z is found now: of x itself, or of x by a method that sums over latent layers."""
    part, x = unnormalised(model, setup.training_x)
    log_z: Estimate = quick_method(made(setup, "log_z", part), part)(part, x)

    def score(batch: Batch) -> tuple[Tensor, Estimate]:
        if part is model:
            log_f = log_density(model, batch)
            return log_f - log_z.value, log_likelihood(log_f, log_z)
        log_f, estimate = of_x(model, Evidence(batch, batch))
        return log_f - log_z.value, less(estimate, log_z)

    return score
