"""Stopping criteria of training: steps, time, early stopping, or an interrupt by the user."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from dgmrun import children
from dgmrun.errors import Mistake
from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Trainer

IMPATIENT = 1.0
"""Seconds within which a second signal is taken for a duplicate of the first."""
TOLD_EVERY = 10
"""Iterations between broadcasts of the first process on whether to stop."""
PARTS = re.compile(r"(?:(\d+):)?(\d+):(\d+):(\d+)")


def seconds(duration: str | None) -> float | None:
    """Converts a duration DD:HH:MM:SS or HH:MM:SS to seconds.

    Raises:
        Mistake: it has another format.
    """
    if duration is None:
        return None
    parts = PARTS.fullmatch(str(duration))
    if parts is None:
        raise Mistake(
            f"`trainer.max_time` must be null or DD:HH:MM:SS, but is {duration}",
            "trainer.max_time=00:00:20:00",
        )
    days, hours, minutes, rest = (int(part or 0) for part in parts.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def iterations(trainer: Mapping[str, Any], batches: int) -> int:
    """Returns the number of iterations of a training; `batches` is the number of batches in an epoch."""
    epochs = trainer["max_epochs"]
    return int(trainer["max_steps"] if epochs is None else epochs * batches)


def optimizer_steps(trainer: Mapping[str, Any], batches: int) -> int:
    """Returns the number of optimiser steps of a training, at least 1."""
    return max(1, iterations(trainer, batches) // max(1, trainer["accumulate"]))


class Limits(Callback):
    """Stops the trainer after a batch, never within one, so that checkpoints are consistent.

    Args:
        max_steps: number of iterations of the whole training.
        max_time: seconds since training was started or last resumed, or None.
    """

    def __init__(self, max_steps: int, max_time: float | None) -> None:
        self.max_steps, self.max_time = max_steps, max_time
        self.reason: str | None = None
        self.is_interrupted, self.interrupted = False, 0.0
        self.started, self.before = time.monotonic(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training, including those before it was resumed."""
        return self.before + time.monotonic() - self.started

    def state_dict(self) -> dict[str, float]:
        """Returns the seconds of training so far."""
        return {"seconds": self.elapsed}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restores the seconds of training so far.

        Raises:
            ValueError: it is not a finite, non-negative number.
        """
        before = float(state_dict["seconds"])
        if not 0 <= before < math.inf:
            raise ValueError(f"its seconds must be a number that is not negative, but are {before}")
        self.before = before

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Starts the clock, and replaces Lightning's handlers of Ctrl-C and SIGTERM; a second Ctrl-C stops at once.

        Other threads than the first one cannot have handlers.
        """
        self.started = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in children.STOPS:
                signal.signal(number, self._interrupt)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stops if a limit is reached. With several processes, the first one decides and broadcasts now and then."""
        if pl_module.iteration >= self.max_steps:
            self.stop(trainer, "steps")
        elif reason := self._reason(trainer, pl_module.iteration):
            self.stop(trainer, reason)

    def _reason(self, trainer: Trainer, iteration: int) -> str | None:
        if trainer.world_size == 1:
            return self._wish()
        return trainer.strategy.broadcast(self._wish()) if iteration % TOLD_EVERY == 0 else None

    def _wish(self) -> str | None:
        if self.max_time is not None and time.monotonic() - self.started >= self.max_time:
            return "time"
        return "interrupted" if self.is_interrupted else None

    def stop(self, trainer: Trainer, reason: str) -> None:
        """Ends the training after this batch; `reason` is steps, time, patience or interrupted."""
        self.reason = reason
        trainer.should_stop = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        is_again = self.is_interrupted and time.monotonic() - self.interrupted > IMPATIENT
        if is_again and number == signal.SIGINT:  # schedulers repeat theirs
            raise KeyboardInterrupt
        if not self.is_interrupted:
            self.is_interrupted, self.interrupted = True, time.monotonic()
