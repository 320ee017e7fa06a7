"""Checkpoints that survive a kill at any moment.

The files are last.ckpt, previous.ckpt and best.ckpt, each with its sha256 beside it, because `torch.load` does not
detect a flipped bit. Between any two renames, last.ckpt or previous.ckpt is intact.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Trainer
from dgmrun.objectives.state import NonFiniteError, first_non_finite
from dgmrun.protocols.values import Batch
from dgmrun.report.terminal import human
from dgmrun.run.directory import Run
from dgmrun.run.files import replace, sha256, sync, temporary
from dgmrun.stages.train import processes
from dgmrun.stages.train.board import Board
from dgmrun.stages.train.resume import Resume
from dgmrun.stages.train.saved import checksum_file, checksum_of_whole

log = logging.getLogger("dgmrun")
FILES = 4
"""Checkpoints that a run has at once, the one being written among them."""
BESIDE = 2**15
"""Bytes of a checkpoint beside parameters and what belongs to them: of generators, names and logs."""


class Checkpoints(Callback):
    """Saves the complete state for exact resume, and the weights beside it.

    Args:
        run: the run to write to.
        every: iterations between checkpoints.
        resume: collects the state.
        board: flushed before each checkpoint, as events before it are not repeated after a resume.
        record: records the progress of the training in results.json.
    """

    def __init__(
        self, run: Run, every: int, resume: Resume, board: Board, record: Callable[[Objective, int], None]
    ) -> None:
        self.run, self.every, self.resume, self.board, self.record = run, every, resume, board, record
        self.folder = run.path / "checkpoints"
        self.saved_at: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Warns if there is less room than three checkpoints, and another one that is being written, will need."""
        if trainer.is_global_zero:
            need = FILES * _bytes(pl_module) - self.run.size("checkpoints")
            free = shutil.disk_usage(self.folder).free
            if free < need:
                log.warning(
                    "warning: checkpoints may need another %s, but only %s are free where %s is",
                    *(human(need), human(free), self.run.path),
                )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Saves every `every` iterations, and after the last one."""
        if pl_module.iteration % self.every == 0 or trainer.should_stop:
            self.save(trainer, pl_module, batch)

    def save(self, trainer: Trainer, objective: Objective, batch: Batch) -> None:
        """Saves last.ckpt, after moving the old one to previous.ckpt; at most once for each iteration.

        Raises:
            NonFiniteError: a parameter is not finite; earlier checkpoints are kept.
        """
        if self.saved_at == objective.iteration:
            return
        if bad := first_non_finite(dict(objective.named_parameters())):
            raise NonFiniteError(bad, batch)
        self._write(trainer, objective, "last")
        if trainer.is_global_zero:
            save_weights(self.run, objective)
            self.record(objective, objective.iteration)
        self.saved_at = objective.iteration
        processes.await_first()

    def save_best(self, trainer: Trainer) -> None:
        """Saves best.ckpt."""
        self._write(trainer, trainer.lightning_module, "best")  # type: ignore[arg-type]
        processes.await_first()

    def _write(self, trainer: Trainer, objective: Objective, name: str) -> None:
        state = self.resume.gather(trainer, objective)
        if not trainer.is_global_zero:
            return
        self.board.flush()
        file = self.folder / f"{name}.ckpt"
        with temporary(file) as stream:
            torch.save(state, stream)
            sync(stream)
            if name == "last" and (checksum := checksum_of_whole(file)):
                _publish(file, self.folder / "previous.ckpt", checksum)
            new = Path(stream.name)
            _publish(new, file, sha256(new))


def _bytes(objective: Objective) -> int:
    """Returns the bytes of a checkpoint, with two numbers of the optimiser for each that is trained, as Adam has."""
    accumulated = int(objective.optimization.accumulate > 1)
    trained = [part for part in objective.trained_parameters() for _ in range(2 + accumulated)]
    parts = (*objective.state_dict().values(), *objective.rank_state.values(), *trained)
    return BESIDE + sum(part.numel() * part.element_size() for part in parts)


def save_weights(run: Run, objective: Objective) -> None:
    """Saves the parameters, and their moving averages if there are any."""
    run.save_weights(objective.model.state_dict())
    if objective.average is not None:
        run.save_weights(objective.average.module.state_dict(), "weights-ema")


def _publish(file: Path, name: Path, checksum: str) -> None:
    """Renames a checkpoint, after its checksum."""
    replace(checksum_file(name), checksum.encode())
    os.replace(file, name)
