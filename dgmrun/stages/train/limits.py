"""When a training ends: enough steps, enough time, no improvement, or the user's wish."""

from __future__ import annotations

import math
import re
import signal
import time
from types import FrameType

from lightning import Callback, Trainer

from dgmrun.errors import Mistake
from dgmrun.objectives.base import Objective

IMPATIENT = 1.0
"""Seconds after which another signal means more than the first; one wish can arrive by several ways."""
TOLD_EVERY = 10
"""Iterations between two words of the first process to the others on whether to go on."""
PARTS = re.compile(r"(?:(\d+):)?(\d+):(\d+):(\d+)")


def seconds(duration: str | None) -> float | None:
    """A wall-clock limit DD:HH:MM:SS, or HH:MM:SS, in seconds.

    Raises:
        Mistake: it is written otherwise.
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


class Limits(Callback):
    """Stops the trainer after a batch, never within one, so that what is saved is whole.

    Args:
        max_steps: iterations of the whole training.
        max_time: seconds of this sitting, or None.
    """

    def __init__(self, max_steps: int, max_time: float | None) -> None:
        self.max_steps, self.max_time = max_steps, max_time
        self.reason: str | None = None
        self.is_interrupted, self.interrupted = False, 0.0
        self.started, self.before = time.monotonic(), 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training, earlier sittings included."""
        return self.before + time.monotonic() - self.started

    def state_dict(self) -> dict[str, float]:
        """The seconds so far."""
        return {"seconds": self.elapsed}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Takes the seconds back.

        Raises:
            ValueError: they are no such number.
        """
        before = float(state_dict["seconds"])
        if not 0 <= before < math.inf:
            raise ValueError(f"its seconds must be a number that is not negative, but are {before}")
        self.before = before

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Starts the clock, and takes Ctrl-C and SIGTERM over from Lightning; a second Ctrl-C stops at once."""
        self.started = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Objective, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Stops if a limit is reached. Of several processes the first has the clock, and tells it now and then."""
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
        if self.is_interrupted and time.monotonic() - self.interrupted > IMPATIENT:
            raise KeyboardInterrupt
        if not self.is_interrupted:
            self.is_interrupted, self.interrupted = True, time.monotonic()
