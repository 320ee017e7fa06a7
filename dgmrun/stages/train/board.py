"""Logs: scalars for TensorBoard and in metrics.csv, and plots at each validation, which are also saved as PNG."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from dgmrun.objectives.base import Objective
from dgmrun.pictures import grid as pictures
from dgmrun.run import metrics
from dgmrun.run.directory import Run


class Board(Callback):
    """Writes under the tags `<split>/<term>`, in the first process only.

    Args:
        run: the run to write to.
        every: iterations between logged training terms.
        upright: turns images to their display orientation.
        further: takes the scalars, too.
    """

    def __init__(
        self, run: Run, every: int, upright: Callable[[Tensor], Tensor], further: Logger | None = None
    ) -> None:
        self.run, self.every, self.upright, self.further = run, every, upright, further
        self.writer: SummaryWriter | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Objective) -> None:
        """Opens the logs; after a resume, TensorBoard and metrics.csv discard later steps, which will be repeated."""
        if trainer.is_global_zero:
            metrics.keep(self.run.path, pl_module.iteration)
            while any(self.run.path.glob(f"events.out.tfevents.{int(time.time())}.*")):
                time.sleep(0.05)  # event files are read by name, which has a resolution of a second
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
        """Closes the event file."""
        if self.writer is not None:
            self.writer.close()
        self._end("success")

    def on_exception(self, trainer: Trainer, pl_module: Objective, exception: BaseException) -> None:
        """Closes the further logger."""
        self._end("failed")

    def _end(self, status: str) -> None:
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

    def pictures(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Writes named images to the event file and to figures/."""
        if self.writer is not None:
            for name, x in ((name, self.upright(x)) for name, x in tensors.items()):
                sheet = pictures.render(x)
                self.writer.add_image(f"train/{name}", sheet, step, dataformats="HWC"[: sheet.ndim])
                pictures.save(self.run.path / "figures" / f"{name}.png", x)
