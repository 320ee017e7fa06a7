"""Progress of a training on the terminal: a bar with the main figures, and a line for each validation."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from torch import Tensor

from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Trainer
from dgmrun.protocols.text import with_error
from dgmrun.report.progress import bars, is_shown
from dgmrun.stages.train.limits import Limits
from dgmrun.stages.train.validation import Validation

log = logging.getLogger("dgmrun")
PAUSE = 0.2
"""Seconds between updates of the bar."""


class Bar(Callback):
    """Shows the step, the loss, the validation figures and the remaining time on stderr.

    Args:
        limits: provides the number of steps.
        validation: provides the figures.
    """

    def __init__(self, limits: Limits, validation: Validation) -> None:
        self.limits, self.validation = limits, validation
        self.shown_step, self.shown_at = 0, 0.0
        self.progress = bars("train", "{task.fields[figures]}")
        self.task = self.progress.add_task("", total=limits.max_steps, figures="")
        self.is_shown = is_shown(self.progress)

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Shows the bar if stderr is a terminal."""
        self.shown_step = self.validation.step
        self.is_shown &= trainer.is_global_zero
        if self.is_shown:
            self.progress.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Objective,
        outputs: Mapping[str, Tensor],
        batch: object,
        batch_idx: int,
    ) -> None:
        """Updates the bar a few times per second, and prints the figures of each validation."""
        if trainer.is_global_zero and self.validation.step != self.shown_step:
            self.shown_step = self.validation.step
            log.info("train       step %-8d %s", self.shown_step, self.figures())
        if self.is_shown and (now := time.monotonic()) - self.shown_at > PAUSE:
            self.shown_at = now
            figures = f"loss {float(outputs['loss']):.3f}  {self.figures()}"
            self.progress.update(self.task, completed=pl_module.iteration, figures=figures)

    def on_train_end(self, trainer: Trainer, pl_module: Objective) -> None:
        """Removes the bar."""
        self._remove()

    def on_exception(self, trainer: Trainer, pl_module: Objective, exception: BaseException) -> None:
        """Removes the bar before the error is printed."""
        self._remove()

    def _remove(self) -> None:
        if self.is_shown:  # else rich would print an empty line
            self.progress.stop()

    def figures(self) -> str:
        """Formats the figures of the latest validation."""
        latest = self.validation.latest
        if not latest:
            return ""
        name = self.validation.watched
        gap = f" nats  gap to train {latest['gap']:.3f}" if "gap" in latest else ""
        error = latest[f"{name}_standard_error"]
        return f"valid {name} {with_error(latest[name], None if math.isnan(error) else error)}{gap}"
