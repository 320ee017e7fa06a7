"""The loop over the batches of an epoch."""

from __future__ import annotations

from typing import Any

from dgmrun.objectives.lightning import EpochLoop


class Batches(EpochLoop):
    """Lightning's loop; in one process, without its own profiler, logger and transfers of batches.

    Nothing here has these, and to go through them takes a third of a millisecond a batch.
    """

    def advance(self, data_fetcher: Any) -> None:
        """Trains on one batch, between the same hooks of callbacks and objective as Lightning calls.

        Raises:
            StopIteration: there is none left.
        """
        trainer, progress, number = self.trainer, self.batch_progress, self.batch_idx + 1
        if trainer.world_size > 1:
            return super().advance(data_fetcher)
        objective = trainer.lightning_module
        batch, *_ = next(data_fetcher)
        progress.is_last_batch = data_fetcher.done
        batch = trainer.precision_plugin.convert_input(batch)
        progress.increment_ready()
        for callback in trainer.callbacks:
            callback.on_train_batch_start(trainer, objective, batch, number)
        objective.on_train_batch_start(batch, number)
        progress.increment_started()
        outputs = trainer.strategy.training_step(batch, number)
        progress.increment_processed()
        for callback in trainer.callbacks:
            callback.on_train_batch_end(trainer, objective, outputs, batch, number)
        objective.on_train_batch_end(outputs, batch, number)
        progress.increment_completed()
