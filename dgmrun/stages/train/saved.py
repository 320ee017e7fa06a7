"""A checkpoint as it is read: once, whole, and by its parts."""

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
    """All that a training goes on from; whoever takes a part back checks what is in it.

    Args:
        file: where it was read.
        checksum: sha256 of its bytes.
        iteration: batches so far.
        state_dict: parameters and buffers of the objective, the model's among them.
        gradients: by parameter, of those that wait for their optimiser step.
        optimizer_states: of each player, in the order of play.
        schedule_states: of each player, in the order of play; none without a schedule.
        callbacks: states by name of the class.
        ranks: what each process had of its own.
        environment: what exact resume depends on, besides the number of processes.
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
"""What a checkpoint has, and nothing else, and of which types."""


def newest(folder: Path) -> Saved | None:
    """The newest whole checkpoint to go on from, or None where nothing was ever saved.

    Raises:
        RunFailed: there are checkpoints, but none is whole; or the newest whole one is not of this program.
    """
    files = [file for file in (folder / "last.ckpt", folder / "previous.ckpt") if file.exists()]
    for file in files:
        if checksum := checksum_of_whole(file):
            return _unpacked(file, checksum)
        log.warning("warning: %s is damaged (its sha256 differs)", file)
    if files:
        raise RunFailed(
            f"{folder} must have a whole checkpoint, but all are damaged",
            f"dgmrun weights={shlex.quote(str(folder.parent))} ... starts a new run from its weights",
        )
    return None


def read(file: Path) -> Saved:
    """What a checkpoint holds: tensors and plain values.

    Raises:
        RunFailed: it is not whole, or not of this program.
    """
    checksum = checksum_of_whole(file)
    if checksum is None:
        with blaming(file):
            raise ValueError("its sha256 differs")
    return _unpacked(file, checksum)


def checksum_of_whole(file: Path) -> str | None:
    """The sha256 of a checkpoint, if it is that which was written beside it."""
    try:
        checksum = sha256(file)
        with checksum_file(file).open("rb") as stream:
            return checksum if stream.read(100).strip() == checksum.encode() else None
    except OSError:
        return None


def checksum_file(file: Path) -> Path:
    """Where the sha256 of a checkpoint is."""
    return file.with_name(f"{file.name}.sha256")


@contextmanager
def blaming(file: Path) -> Iterator[None]:
    """Lays to a checkpoint whatever goes wrong where it is read and put back.

    Raises:
        RunFailed: it cannot be used.
    """
    try:
        yield
    except (Mistake, torch.OutOfMemoryError):
        raise
    except Exception as error:  # values of any type and shape, in any place
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
