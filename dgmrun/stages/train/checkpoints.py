"""Checkpoints that a kill at any moment cannot take away.

last.ckpt, previous.ckpt and best.ckpt, each with the sha256 of its bytes beside it, because `torch.load` does not
notice a flipped bit. Every moment between two renames leaves last or previous whole.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from dgmrun.errors import Mistake, RunFailed
from dgmrun.objectives.base import NonFiniteError, Objective, first_non_finite
from dgmrun.protocols.values import Batch
from dgmrun.run.directory import Run
from dgmrun.run.files import replace, sha256
from dgmrun.run.untrusted import check_packing

log = logging.getLogger("dgmrun")
PARTS = {
    **{"state_dict": dict, "optimizer_states": list, "callbacks": dict, "ranks": list},
    **{"iteration": int, "gradients": dict, "environment": dict},
}
"""What a checkpoint must have, and its types."""
NEEDED = ("Validation", "Limits")
"""Callbacks without whose state a training would go on as another: Lightning passes over what is missing."""


class Checkpoints(Callback):
    """Saves everything that exact resume needs, and the weights beside it.

    Args:
        run: where to.
        every: iterations between two checkpoints.
        record: writes to results.json how far the training is.
    """

    def __init__(self, run: Run, every: int, record: Callable[[Objective, int], None]) -> None:
        self.run, self.every, self.record = run, every, record
        self.folder = run.path / "checkpoints"
        self.saved_at: int | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Saves every `every` iterations, and after the last."""
        if pl_module.iteration % self.every == 0 or trainer.should_stop:
            self.save(trainer, pl_module, batch)

    def save(self, trainer: Trainer, objective: Objective, batch: Batch) -> None:
        """Makes the state last.ckpt and what was last.ckpt previous.ckpt; once for an iteration.

        Raises:
            NonFiniteError: a parameter is not finite; what was saved before stays.
        """
        if self.saved_at == objective.iteration:
            return
        if bad := first_non_finite(dict(objective.named_parameters())):
            raise NonFiniteError(bad, batch)
        temporary = self._write(trainer)
        if trainer.is_global_zero:
            if (self.folder / "last.ckpt").exists():
                _publish(self.folder / "last.ckpt", self.folder / "previous.ckpt")
            _publish(temporary, self.folder / "last.ckpt")
            save_weights(self.run, objective)
            self.record(objective, objective.iteration)
        self.saved_at = objective.iteration

    def save_best(self, trainer: Trainer) -> None:
        """Makes the state best.ckpt."""
        temporary = self._write(trainer)
        if trainer.is_global_zero:
            _publish(temporary, self.folder / "best.ckpt")

    def _write(self, trainer: Trainer) -> Path:
        temporary = self.folder / ".writing.ckpt"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
        return temporary


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint to go on from, or None where nothing was ever saved.

    Raises:
        RunFailed: there are checkpoints, but none is whole.
    """
    files = [file for file in (folder / "last.ckpt", folder / "previous.ckpt") if file.exists()]
    for file in files:
        if is_whole(file):
            return file
        log.warning("warning: %s is damaged (its sha256 differs)", file)
    if files:
        raise RunFailed(
            f"{folder} must have a whole checkpoint, but all are damaged",
            f"dgmrun weights={shlex.quote(str(folder.parent))} ... starts a new run from its weights",
        )
    return None


def is_whole(file: Path) -> bool:
    """Whether a checkpoint has the sha256 that was written beside it."""
    try:
        with _checksum(file).open("rb") as stream:
            return stream.read(100).strip() == sha256(file).encode()
    except OSError:
        return False


def save_weights(run: Run, objective: Objective) -> None:
    """Writes the parameters, and the averaged ones where there are any."""
    run.save_weights(objective.model.state_dict())
    if objective.average is not None:
        run.save_weights(objective.average.module.state_dict(), "weights-ema")


def read(file: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors and plain values.

    Raises:
        RunFailed: it is not whole, or not of this program.
    """
    with blaming(file):
        if not is_whole(file):
            raise ValueError("its sha256 differs")
        check_packing(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError("it is no mapping")
        for part, kind in PARTS.items():
            if not isinstance(state.get(part), kind):
                raise ValueError(f"its {part} is no {kind.__name__}")
        if state["iteration"] < 0 or "loops" in state or first_non_finite(state["state_dict"]):
            raise ValueError("its iteration or its parameters are none that a training has")
        if not all((state["optimizer_states"], *map(state["callbacks"].get, NEEDED))):
            raise ValueError("it lacks an optimiser, the validation or the limits")
        return state


@contextmanager
def blaming(file: Path) -> Iterator[None]:
    """Lays to a checkpoint whatever goes wrong where it is read and put back.

    Raises:
        RunFailed: it cannot be used.
    """
    try:
        yield
    except (Mistake, NonFiniteError):
        raise
    except Exception as error:  # values of any type and shape, in any place
        raise RunFailed(
            f"{file} must be a whole checkpoint of this run, but is not: {type(error).__name__}: {error}",
            f"dgmrun weights={shlex.quote(str(file.parent.parent))} ... starts a new run from its weights",
        ) from error


def restore(objective: Objective, file: Path, state: dict[str, Any]) -> None:
    """Gives an objective the parameters and the step of a checkpoint, which is that of `file`."""
    with blaming(file):
        objective.load_state_dict(state["state_dict"])
        objective.iteration = state["iteration"]


def _publish(file: Path, name: Path) -> None:
    """Renames a checkpoint, its checksum first."""
    replace(_checksum(name), sha256(file).encode())
    os.replace(file, name)


def _checksum(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")
