"""Training source for data that fit in memory: one tensor on the device, from which batches are gathered by index.

There are no worker processes and no Python per example: a batch costs one gather and, with noise, one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.protocols.sparse import gathered
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded


def plain(x: Tensor, y: Tensor | None, index: Tensor) -> Batch:
    """Makes a batch of float examples without a context."""
    return Batch(x.float(), index)


class InMemorySource:
    """Batches of one split, an epoch per iterator, with a state from which training resumes bit for bit.

    The order of epoch e depends only on (seed, e). Of each global batch, process r of W takes the rows r, r + W,
    r + 2W, ...: nothing is padded or repeated, and all processes have equally many rows, so that the mean of their
    means is the mean over the global batch. The last batch of an epoch may be smaller, and its remainder of fewer than
    W rows is dropped.

    Args:
        x: examples [N, ...], on the device; uint8 is converted, and what is sparse made dense, batch by batch.
        y: labels [N, ...], or None.
        batch_size: rows of a global batch, over all processes; at most one epoch.
        seed: seed of the run.
        rank: index of this process.
        world_size: number of processes W.
        draw: random map from gathered rows to what the model sees, seeded by the position of the batch; None for the
            identity.
        arrange: makes a batch from x, y and the indices of its rows.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor | None,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        draw: Callable[[Tensor], Tensor] | None = None,
        arrange: Callable[[Tensor, Tensor | None, Tensor], Batch] = plain,
    ) -> None:
        self.x, self.y, self.seed, self.arrange = x, y, seed, arrange
        self.rank, self.world_size, self.draw = rank, world_size, draw
        self.size = len(x)
        shareable = self.size - self.size % world_size
        self.batch_size, self.rows = batch_size, min(batch_size, shareable)
        self.epoch = self.position = 0
        if batch_size % world_size or not shareable:
            raise Mistake(
                f"`dataset.batch_size` must be a multiple of the {world_size} processes and not above the "
                f"{self.size} examples, but is {batch_size}"
            )

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        whole, rest = divmod(self.size, self.rows)
        return whole + (rest >= self.world_size)

    def epochs(self, steps: int) -> float:
        """Number of epochs in `steps` batches."""
        return steps / len(self)

    def examples(self, steps: int) -> int:
        """Number of examples in `steps` batches, over all processes, dropped rows not counted."""
        whole, rest = divmod(self.size, self.rows)
        epochs, further = divmod(steps, len(self))
        return epochs * (whole * self.rows + rest - rest % self.world_size) + further * self.rows

    def __iter__(self) -> Iterator[Batch]:
        """Yields the rest of the epoch, or the next epoch if none is left: Lightning never exhausts an iterator."""
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0
        order = self._order()
        while self.position < len(self):
            batch = order[self.position * self.rows :][: self.rows]
            self.position += 1
            yield self._batch(batch[: len(batch) - len(batch) % self.world_size][self.rank :: self.world_size])

    def state_dict(self) -> dict[str, int]:
        """The position in the data, after the batch last yielded."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restores a position saved by `state_dict`.

        Raises:
            ValueError: the position is outside the epoch.
        """
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"its place in the data must be among {len(self)} batches, but is {position}")
        self.epoch, self.position = epoch, position

    def load_shares(self, states: Sequence[dict[str, int]]) -> None:
        """Restores the approximate position of a training that ran in another number of processes."""
        place = states[0]
        self.load_state_dict(place | {"position": min(place["position"], len(self))})

    def _order(self) -> Tensor:
        with seeded(self.seed, "order", self.epoch):
            return torch.randperm(self.size).to(self.x.device)

    def _batch(self, index: Tensor) -> Batch:
        x = gathered(self.x, index)
        if self.draw is not None:
            with seeded(self.seed, "binarise", self.epoch, self.position, self.rank):
                x = self.draw(x)
        return self.arrange(x, None if self.y is None else self.y.index_select(0, index), index)
