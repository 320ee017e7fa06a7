"""What each process has of its own, in the checkpoint of them all: generators, chains and the place in the data."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import distributed

from dgmrun import __version__, rng
from dgmrun.errors import Mistake
from dgmrun.objectives.base import Objective
from dgmrun.protocols.sources import Source

log = logging.getLogger("dgmrun")


class Ranks(Callback):
    """Gathers the state of every process when saving, and gives each its own back.

    The place in the data is here rather than with Lightning, whose counts of epochs and batches are left out of the
    checkpoint: after a resume they start anew and nothing depends on them.

    Args:
        source: what this process trains on.
        resume: `exact` refuses another number of processes, `approximate` takes it.
    """

    def __init__(self, source: Source, resume: str) -> None:
        self.source, self.resume = source, resume
        self.generators: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Objective, checkpoint: dict[str, Any]) -> None:
        """Adds one state for each process."""
        mine = {
            "rng": rng.get_state(),
            "source": self.source.state_dict(),
            "objective": _on_cpu(pl_module.rank_state()),
        }
        checkpoint["ranks"] = _gather(mine, trainer.world_size)
        checkpoint["environment"] = _environment(trainer.strategy.root_device)
        checkpoint.pop("loops")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Objective, checkpoint: dict[str, Any]) -> None:
        """Takes this process's state back.

        Raises:
            Mistake: the checkpoint is of another number of processes, and resume is exact.
        """
        ranks = checkpoint["ranks"]
        if len(ranks) != trainer.world_size and self.resume == "exact":
            raise Mistake(
                f"`device` must give the {len(ranks)} processes of the checkpoint, but gives {trainer.world_size}",
                "resume=approximate",
            )
        for key, value in _environment(trainer.strategy.root_device).items():
            if (was := checkpoint["environment"].get(key)) != value:
                log.warning("warning: resume is not exact, as %s was %r and is %r", key, was, value)
        if len(ranks) == trainer.world_size:
            mine = ranks[trainer.global_rank]
            self.source.load_state_dict(mine["source"])
            pl_module.load_rank_state(mine["objective"])
            self.generators = mine["rng"]
        else:
            self.source.load_shares([rank["source"] for rank in ranks])
            log.warning("warning: resume is not exact: generators and chains of objectives start anew")

    def on_train_batch_start(self, trainer: Trainer, pl_module: Objective, batch: Any, batch_idx: int) -> None:
        """Sets the generators just before the first draw."""
        if self.generators is not None:
            rng.set_state(self.generators)
            self.generators = None


def _on_cpu(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value.cpu() if isinstance(value, torch.Tensor) else value for key, value in state.items()}


def _environment(device: torch.device) -> dict[str, Any]:
    """What exact resume depends on, besides the number of processes."""
    return {
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "dgmrun": __version__,
        "device": device.type,
    }


def _gather(state: dict[str, Any], world_size: int) -> list[dict[str, Any]]:
    if world_size == 1:
        return [state]
    states: list[Any] = [None] * world_size
    distributed.all_gather_object(states, state)
    return states
