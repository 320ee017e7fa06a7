"""Reading and validation of checkpoints."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import torch
from torch import Tensor

from dgmrun.errors import Mistake, RunFailed
from dgmrun.run.files import sha256
from dgmrun.run.untrusted import check_packing

log = logging.getLogger("dgmrun")


@dataclass(frozen=True)
class Saved:
    """Contents of a checkpoint, not yet validated beyond their types.

    Args:
        file: the file that it was read from.
        checksum: sha256 of the file.
        iteration: number of batches so far.
        state_dict: parameters and buffers of the objective, including those of the model.
        gradients: accumulated gradients, by parameter.
        optimizer_states: state of each player's optimiser, in the order of play.
        schedule_states: state of each player's schedule, in the order of play; empty without a schedule.
        callbacks: state of each callback, by the name of its class.
        ranks: state that belongs to each process.
        environment: what exact resume depends on, apart from the number of processes.
    """

    file: Path
    checksum: str
    iteration: int
    state_dict: dict[str, Tensor]
    gradients: dict[str, Tensor]
    optimizer_states: list[dict[str, Any]]
    schedule_states: list[dict[str, Any]]
    callbacks: dict[str, dict[str, Any]]
    ranks: list[dict[str, Any]]
    environment: dict[str, Any]


PARTS = {
    name: get_origin(kind) or kind for name, kind in get_type_hints(Saved).items() if name not in ("file", "checksum")
}
"""The parts of a checkpoint, and their types."""


def newest(folder: Path) -> Saved | None:
    """Returns the newest intact checkpoint, or None if nothing was ever saved.

    Raises:
        RunFailed: no checkpoint is intact, or the newest intact one has invalid contents.
    """
    files = [file for file in (folder / "last.ckpt", folder / "previous.ckpt") if file.exists()]
    for file in files:
        if checksum := checksum_of_whole(file):
            saved = _unpacked(file, checksum)
            if file != files[0]:
                log.warning("warning: the training goes on from %s, at step %d", file.name, saved.iteration)
            return saved
        log.warning("warning: %s is damaged (its sha256 differs)", file)
    if files:
        raise RunFailed(
            f"{folder} must have a whole checkpoint, but all are damaged",
            f"dgmrun weights={shlex.quote(str(folder.parent))} ... starts a new run from its weights",
        )
    return None


def read(file: Path) -> Saved:
    """Reads a checkpoint, which holds only tensors and plain values.

    Raises:
        RunFailed: it is damaged, or has invalid contents.
    """
    checksum = checksum_of_whole(file)
    if checksum is None:
        with blaming(file):
            raise ValueError("its sha256 differs")
    return _unpacked(file, checksum)


def checksum_of_whole(file: Path) -> str | None:
    """Returns the sha256 of a checkpoint if it equals the one stored beside it, else None."""
    try:
        checksum = sha256(file)
        with checksum_file(file).open("rb") as stream:
            return checksum if stream.read(100).strip() == checksum.encode() else None
    except OSError:
        return None


def checksum_file(file: Path) -> Path:
    """Returns the path of the file with the sha256 of a checkpoint."""
    return file.with_name(f"{file.name}.sha256")


@contextmanager
def blaming(file: Path) -> Iterator[None]:
    """Context manager that reports errors in it as an invalid checkpoint.

    Raises:
        RunFailed: the checkpoint cannot be used.
    """
    try:
        yield
    except (Mistake, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a checkpoint may hold values of any type and shape
        raise RunFailed(
            f"{file} must be a whole checkpoint of this run, but is not: {type(error).__name__}: {error}",
            f"dgmrun weights={shlex.quote(str(file.parent.parent))} ... starts a new run from its weights",
        ) from error


def _unpacked(file: Path, checksum: str) -> Saved:
    with blaming(file):
        check_packing(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.keys() != PARTS.keys():
            raise ValueError(f"it must have {', '.join(PARTS)}, and nothing else")
        for part, kind in PARTS.items():
            if type(state[part]) is not kind:
                raise ValueError(f"its {part} must be of the type {kind.__name__}, but is {type(state[part]).__name__}")
        if state["iteration"] < 0:
            raise ValueError(f"its iteration must not be negative, but is {state['iteration']}")
        return Saved(file=file, checksum=checksum, **state)
