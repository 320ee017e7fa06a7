"""Logs: scalars for TensorBoard and in metrics.csv, and pictures, which figures/ has, too."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from numpy import ndarray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dgmrun.objectives.base import Objective
from dgmrun.objectives.lightning import Callback, Logger, Trainer
from dgmrun.pictures import grid
from dgmrun.protocols.text import Caption
from dgmrun.run import metrics
from dgmrun.run.directory import Run

EVENTS = re.compile(r"(events\.out\.tfevents\.)(\d+)(\.[^~].*)")
"""Pattern of the names of event files of trainings, which begin with the second in which they were made."""
SHARE = 0.02
"""Largest share of the time of a training that pictures in figures/ take, but for the last of them."""
COST = 1.0
"""Seconds that pictures are taken to cost before any is drawn: a short training draws its last ones alone."""


class Board(Callback):
    """Writes under the tags `<split>/<term>`, in the first process only.

    Args:
        run: the run to write to.
        every: iterations between logged training terms.
        upright: turns images to their display orientation.
        formats: formats of the pictures in figures/.
        further: takes the scalars, too.
    """

    def __init__(
        self,
        run: Run,
        every: int,
        upright: Callable[[Tensor], Tensor],
        formats: Sequence[str],
        further: Logger | None = None,
    ) -> None:
        self.run, self.every, self.upright, self.further = run, every, upright, further
        self.formats = formats
        self.writer: SummaryWriter | None = None
        self.started, self.spent = time.monotonic(), COST
        self.undrawn: Callable[[], None] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Opens the logs; after a resume, TensorBoard and metrics.csv discard later steps, which will be repeated."""
        if trainer.is_global_zero:
            metrics.keep(self.run.path, pl_module.iteration)
            _date_back(self.run.path)
            threading.excepthook = _tell_of_bugs
            self.writer = SummaryWriter(str(self.run.path), purge_step=pl_module.iteration + 1)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Objective,
        outputs: Mapping[str, Tensor],
        batch: object,
        batch_idx: int,
    ) -> None:
        """Writes the terms of this batch, averaged over processes, and the learning rate."""
        if pl_module.iteration % self.every == 0:
            terms = {name: trainer.strategy.reduce(term, reduce_op="mean") for name, term in outputs.items()}
            values = {f"train/{name}": float(term) for name, term in terms.items()}
            self.scalars(values | {"train/lr": pl_module.learning_rate}, pl_module.iteration)

    def flush(self) -> None:
        """Flushes the event file."""
        if self.writer is not None:
            self.writer.flush()

    def on_train_end(self, trainer: Trainer, pl_module: Objective) -> None:
        """Draws the latest pictures and closes the event file."""
        if self.undrawn is not None:
            self.undrawn()
        if self.writer is not None:
            self.writer.close()
        self._end("success")

    def on_exception(self, trainer: Trainer, pl_module: Objective, exception: BaseException) -> None:
        """Closes the further logger."""
        self._end("failed")

    def _end(self, status: str) -> None:
        if self.writer is not None:
            threading.excepthook = threading.__excepthook__
        if self.writer is not None and self.further is not None:
            self.further.finalize(status)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes named scalars."""
        if self.writer is not None:
            metrics.append(self.run.path, values, step)
            for tag, value in values.items():
                self.writer.add_scalar(tag, value, step)
            if self.further is not None:
                self.further.log_metrics(dict(values), step)

    def words(self, doubts: Sequence[str], step: int) -> None:
        """Writes warnings about the training."""
        if self.writer is not None and doubts:
            self.writer.add_text("train/doubts", "  \n".join(doubts), step)

    def pictures(self, tensors: Mapping[str, Tensor], captions: Mapping[str, Caption], step: int) -> None:
        """Writes named images to the event file, and to figures/ unless that would take too much of the time."""
        if self.writer is not None:
            upright = {name: self.upright(x) for name, x in tensors.items()}
            for name, x in upright.items():
                sheet = grid.render(x)
                self.writer.add_image(f"train/{name}", sheet, step, dataformats="HWC"[: sheet.ndim])
            shown = {name: x[: grid.MOST].detach().float().cpu().numpy().copy() for name, x in upright.items()}
            self.undrawn = partial(self._draw, shown, captions, step)
            if self.spent <= SHARE * (time.monotonic() - self.started):
                self.undrawn()

    def _draw(self, shown: Mapping[str, ndarray], captions: Mapping[str, Caption], step: int) -> None:
        from dgmrun.pictures import drawing, gallery

        start, self.undrawn = time.monotonic(), None
        for name, x in shown.items():
            with drawing.harmless(name):
                title = f"{name.replace('_', ' ')} at step {step}"
                figure = gallery.valued(x, title, *captions.get(name, Caption()))
                drawing.keep(self.run, name, figure, self.formats)
                del figure
        gc.collect()  # figures refer to themselves, and are of several megabytes
        self.spent += time.monotonic() - start


def _date_back(run: Path) -> None:
    """Renames event files of this second, or of later ones by another clock: they are read in the order of names."""
    names = [found for file in sorted(run.iterdir()) if (found := EVENTS.fullmatch(file.name))]
    for second, name in enumerate(names, int(time.time()) - len(names)):
        if int(name[2]) > second:
            (run / name[0]).rename(run / f"{name[1]}{second:010d}{name[3]}")


def _tell_of_bugs(told: threading.ExceptHookArgs) -> None:
    """Says what has ended a thread, unless it is an error of the disk, which is raised at the next event, too."""
    if not isinstance(told.exc_value, OSError):
        threading.__excepthook__(told)
