"""Exact resume: collects the complete state of a training, and restores it before the first batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed

from dgmrun import __version__, rng
from dgmrun.errors import Mistake, RunFailed
from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Trainer
from dgmrun.objectives.state import alike, all_alike
from dgmrun.protocols.sources import Source
from dgmrun.stages.train import moving
from dgmrun.stages.train.saved import Saved, blaming

log = logging.getLogger("dgmrun")


class Resume(Callback):
    """Defines the contents of a checkpoint; Lightning's own counters of epochs and batches are not included.

    Args:
        source: training source of this process.
        saved: the checkpoint to resume from, if any.
        resume: `exact` refuses a different number of processes, `approximate` accepts it.
        horizon: the setting of schedules that is the number of their steps, if any.
    """

    def __init__(self, source: Source, saved: Saved | None, resume: str, horizon: str | None) -> None:
        self.source, self.saved, self.resume, self.horizon = source, saved, resume, horizon
        self.gradients: dict[str, Tensor] = {}
        self.generators: dict[str, Any] | None = None

    def gather(self, trainer: Trainer, objective: Objective) -> dict[str, Any]:
        """Returns the parts of `Saved`; must be called in every process, as each contributes its own state."""
        mine = {
            "rng": rng.get_state(),
            "source": self.source.state_dict(),
            "objective": {name: state.cpu() for name, state in objective.rank_state.items()},
            "gradients": {} if trainer.is_global_zero else _accumulated(objective),
        }
        return {
            "iteration": objective.iteration,
            "state_dict": dict(objective.state_dict()),
            "gradients": _accumulated(objective),
            "optimizer_states": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "schedule_states": [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs],
            "callbacks": {name: callback.state_dict() for name, callback in _with_state(trainer).items()},
            "ranks": _gathered(mine, trainer),
            "environment": _environment(trainer.strategy.root_device),
        }

    def on_fit_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Restores everything except gradients and random generators, which Lightning would modify before training.

        Raises:
            Mistake: the number of processes differs from that of the checkpoint, and resume is exact.
            RunFailed: the checkpoint is invalid, or differs between processes.
        """
        checksum = None if self.saved is None else self.saved.checksum
        if any(other != checksum for other in _gathered(checksum, trainer)):
            raise RunFailed("every process must read the same checkpoint, but they differ", "dgmrun run=DIR, once more")
        if self.saved is not None:
            with blaming(self.saved.file):
                self._restore(self.saved, trainer, pl_module)
            self.saved = None

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Restores accumulated gradients, once Lightning has cleared them."""
        parameters = dict(pl_module.named_parameters())
        for name, gradient in self.gradients.items():
            parameters[name].grad = gradient
        self.gradients = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Objective, batch: Any, batch_idx: int) -> None:
        """Restores the random generators just before they are first used."""
        if self.generators is not None:
            rng.set_state(self.generators)
            self.generators = None

    def _restore(self, saved: Saved, trainer: Trainer, objective: Objective) -> None:
        number, is_same = len(saved.ranks), len(saved.ranks) == trainer.world_size
        if not is_same and self.resume == "exact":
            raise Mistake(
                f"`device` must give the {number} processes of the checkpoint, but gives {trainer.world_size}",
                "resume=approximate",
            )
        _take_threads(saved.environment.get("threads"))
        for key, value in _environment(trainer.strategy.root_device).items():
            if (was := saved.environment.get(key)) != value:
                log.warning("warning: resume is not exact, as %s was %r and is %r", key, was, value)
        restore(objective, saved)
        own = saved.ranks[trainer.global_rank].get("gradients") if is_same else None
        self.gradients = _gradients(own or saved.gradients, objective)
        moving.restore(trainer.optimizers, saved.optimizer_states)
        schedules = [each.scheduler for each in trainer.lr_scheduler_configs]
        steps = saved.iteration // objective.optimization.accumulate
        ages = [seat.player.age(steps) for seat in objective.seats]
        if any(map(self._is_of_another, saved.schedule_states, schedules, ages)):
            objective.reschedule(steps)
        else:
            moving.restore(schedules, saved.schedule_states)
        _restore_callbacks(_with_state(trainer), saved.callbacks)
        if is_same:
            self.source.load_state_dict(saved.ranks[trainer.global_rank]["source"])
            restore_rank(objective, saved, trainer.global_rank)
            self.generators = _generators(saved.ranks[trainer.global_rank]["rng"])
        else:
            self.source.load_shares([rank["source"] for rank in saved.ranks])
            log.warning("warning: resume is not exact: generators and chains of objectives start anew")

    def _is_of_another(self, state: Mapping[str, Any], schedule: Any, age: int) -> bool:
        """Returns whether the state of a schedule is not that of this training at this age."""
        key = self.horizon
        is_longer = key is not None and (state.get(key) is None or state[key] != vars(schedule).get(key))
        return is_longer or state["last_epoch"] != age


def restore(objective: Objective, saved: Saved) -> None:
    """Restores the parameters and the iteration of an objective from a checkpoint."""
    with blaming(saved.file):
        objective.load_state_dict(all_alike(saved.state_dict, objective.state_dict(), "parameters"))
        objective.iteration = saved.iteration


def restore_rank(objective: Objective, saved: Saved, rank: int) -> None:
    """Restores the state of an objective that belongs to this process."""
    with blaming(saved.file):
        objective.take_rank_state(saved.ranks[rank]["objective"])


def _accumulated(objective: Objective) -> dict[str, Tensor]:
    """Returns the gradients of this process that wait for those of further batches."""
    return {name: part.grad.cpu() for name, part in objective.named_parameters() if part.grad is not None}


def _gradients(gradients: Mapping[str, Any], objective: Objective) -> dict[str, Tensor]:
    parameters = {name: part for name, part in objective.named_parameters() if part.requires_grad}
    return {name: alike(gradients[name], parameters[name], name).to(parameters[name]) for name in gradients}


def _restore_callbacks(callbacks: Mapping[str, Callback], states: Mapping[str, Any]) -> None:
    if states.keys() != callbacks.keys():
        raise ValueError(f"it must have the states of {', '.join(callbacks)}, and no other")
    for name, callback in callbacks.items():
        callback.load_state_dict(states[name])


def _generators(state: dict[str, Any]) -> dict[str, Any]:
    """Returns the state of random generators, once validated by temporary ones."""
    torch.Generator().set_state(state["cpu"])
    for gpu_state in state["cuda"] if torch.cuda.is_available() else ():
        torch.Generator("cuda").set_state(gpu_state)
    return state


def _with_state(trainer: Trainer) -> dict[str, Callback]:
    every: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return {type(callback).__name__: callback for callback in every if callback.state_dict()}


def _take_threads(number: Any) -> None:
    """Computes with this number of threads, if there are cores for them and the user has not set another."""
    if number in range(1, (os.cpu_count() or 1) + 1) and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(number)


def _environment(device: torch.device) -> dict[str, Any]:
    """Returns what exact resume depends on, apart from the number of processes."""
    return {
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "dgmrun": __version__,
        "device": device.type,
    }


def _gathered(mine: Any, trainer: Trainer) -> list[Any]:
    """Returns the value of each process."""
    if trainer.world_size == 1:
        return [mine]
    every: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(every, mine)
    return every
