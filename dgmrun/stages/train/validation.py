"""Validation that says something true: a log-likelihood with its error bar, and how far it lags behind training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lightning import Callback, Trainer
from torch import Tensor

from dgmrun import build
from dgmrun.estimators.density import NORMALISED, log_density, log_likelihood
from dgmrun.objectives.base import Objective
from dgmrun.protocols import Enumerable, Estimate, TractableDensity
from dgmrun.rng import seeded
from dgmrun.stages._setup import Setup
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.checkpoints import Checkpoints
from dgmrun.stages.train.limits import Limits

LogZ = Callable[[Any], Estimate]
PICTURED = 100
EXACT_BITS = 14
AIS = {"num_chains": 100, "num_temperatures": 500}


class Validation(Callback):
    """Every so many iterations: nll of the validation split, the best so far, patience, pictures.

    Nothing that it draws is seen by the training. Of several processes the first validates.

    Args:
        log_z: a cheap log Z of a model, in nats.
        x: the validation split, on the device.
        x_train: as many training examples, for the gap.
        log_jacobian: what log-probabilities of `x` lack to be in original units, in nats.
        log_jacobian_train: the same of `x_train`.
        every: iterations between two validations.
        patience: validations without improvement before training stops; None: never.
        seed: the run's seed.
        limits: told when patience is over.
        board: where figures and pictures go.
        checkpoints: told to keep the best.
    """

    def __init__(
        self,
        log_z: LogZ,
        x: Tensor,
        x_train: Tensor,
        log_jacobian: Tensor,
        log_jacobian_train: Tensor,
        every: int,
        patience: int | None,
        seed: int,
        limits: Limits,
        board: Board,
        checkpoints: Checkpoints,
    ) -> None:
        self.log_z, self.x, self.x_train = log_z, x, x_train
        self.log_jacobian, self.log_jacobian_train = log_jacobian, log_jacobian_train
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
            self.board.pictures(objective.pictures(self.x[:PICTURED].float()), self.step)
        if self.latest["nll"] < self.best:
            self.best, self.waited = self.latest["nll"], 0
            self.checkpoints.save_best(trainer)
        else:
            self.waited += 1
            if self.patience is not None and self.waited >= self.patience:
                self.limits.stop(trainer, "patience")

    def _terms(self, objective: Objective) -> dict[str, float]:
        model: Any = objective.evaluated
        log_f = log_density(model, self.x) + self.log_jacobian
        log_f_train = log_density(model, self.x_train) + self.log_jacobian_train
        estimate = log_likelihood(log_f, self.log_z(model))
        return {
            "nll": -estimate.value,
            "nll_standard_error": estimate.standard_error or math.nan,
            "gap": float(log_f_train.mean() - log_f.mean()),
        }


def log_z(setup: Setup) -> LogZ:
    """The cheap log Z that validation uses: 0 where it is known, exact up to 2^14 states, else by a short AIS."""
    nodes = setup.config["log_z"]
    exact, ais = build.maker("log_z", nodes["exact"])(), build.maker("log_z", nodes["ais"] | AIS)()
    base_logits = setup.base_logits

    def estimate(model: Any) -> Estimate:
        if isinstance(model, TractableDensity):
            return NORMALISED
        method = exact if isinstance(model, Enumerable) and model.enumerable_bits() <= EXACT_BITS else ais
        return method(model, base_logits)

    return estimate
