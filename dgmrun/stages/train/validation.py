"""Validation that says something true: a log-likelihood with its error bar, and how far it lags behind training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from lightning import Callback, Trainer
from torch import Tensor

from dgmrun.estimators.density import log_density, log_likelihood
from dgmrun.estimators.units import in_original_units
from dgmrun.objectives.base import Objective
from dgmrun.protocols.models import Enumerable, LatentVariableModel, TractableDensity, UnnormalisedDensity
from dgmrun.protocols.values import Batch, Estimate
from dgmrun.rng import seeded
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.checkpoints import Checkpoints
from dgmrun.stages.train.limits import Limits
from dgmrun.workbench import build
from dgmrun.workbench.setup import Setup

Score = Callable[[Tensor], tuple[Tensor, Estimate]]
Scorer = Callable[[Any], Score]
WATCHED = ("nll", "bound", "loss")
PICTURED = 100
EXACT_BITS = 14
AIS = {"num_chains": 100, "num_temperatures": 500}
IMPORTANCE = {"num_samples": 10, "local_steps": None}


class Examples(NamedTuple):
    """Examples x on the device, and what their log-probabilities lack to be in original units, in nats."""

    x: Tensor
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
            self.board.pictures(objective.pictures(self.valid.x[:PICTURED].float()), self.step)
        if self.latest[self.watched] < self.best:
            self.best, self.waited = self.latest[self.watched], 0
            self.checkpoints.save_best(trainer)
        else:
            self.waited += 1
            if self.patience is not None and self.waited >= self.patience:
                self.limits.stop(trainer, "patience")

    def _terms(self, objective: Objective) -> dict[str, float]:
        if self.scorer is None:
            x = self.valid.x.to(next(objective.parameters()).dtype)
            loss, terms = objective.loss(Batch(x, torch.arange(len(x))))
            return {"loss": float(loss), "loss_standard_error": float(terms["standard_error"])}
        score = self.scorer(objective.evaluated)
        log_prob, estimate = in_original_units(score(self.valid.x), self.valid.log_jacobian)
        log_prob_train, _ = in_original_units(score(self.train.x), self.train.log_jacobian)
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


def scorer(setup: Setup) -> Scorer | None:
    """The cheap likelihood that validation uses, if the model has one.

    Of a tractable density its own; of a latent variable model a bound by a few samples; of an unnormalised density by
    log Z, exact up to 2^14 states, else by a short AIS.
    """
    model = build.target(setup.config["model"])
    if build.fits(model, UnnormalisedDensity):
        return _through_log_z(setup)
    if not build.fits(model, TractableDensity) and not build.fits(model, LatentVariableModel):
        return None
    name, settings = ("exact", {}) if build.fits(model, TractableDensity) else ("importance", IMPORTANCE)
    method = build.maker("likelihood", setup.config["likelihood"][name] | settings)()
    return lambda model: lambda x: method(model, x, x)


def _through_log_z(setup: Setup) -> Scorer:
    nodes, base_logits = setup.config["log_z"], setup.base_logits
    exact, ais = build.maker("log_z", nodes["exact"])(), build.maker("log_z", nodes["ais"] | AIS)()

    def prepared(model: Any) -> Score:
        is_small = isinstance(model, Enumerable) and model.enumerable_bits() <= EXACT_BITS
        log_z = (exact if is_small else ais)(model, base_logits)

        def score(x: Tensor) -> tuple[Tensor, Estimate]:
            log_f = log_density(model, x)
            return log_f - log_z.value, log_likelihood(log_f, log_z)

        return score

    return prepared
