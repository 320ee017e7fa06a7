"""The training source of data that fit in memory: one tensor on the device, batches gathered by index.

No worker processes, no Python per example: a batch costs one gather and, where there is noise, one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.protocols.values import Batch
from dgmrun.rng import seeded


def plain(x: Tensor, y: Tensor | None, index: Tensor) -> Batch:
    """A batch of numbers x without a context."""
    return Batch(x.float(), index)


class InMemorySource:
    """Batches of one split, an epoch for each `iter`, and a state from which they go on to the bit.

    The order of epoch e is a function of (seed, e) alone. Of the global batch, process r of W takes the rows
    r, r + W, r + 2W, ...: nothing is padded or repeated, and all have as many, so that the mean over processes of
    their means is the mean over the batch. The last batch of an epoch may be smaller; the fewer than W rows that
    cannot be shared out are left to another epoch.

    Args:
        x: examples [N, ...], on the device; uint8 is converted batch by batch.
        y: their labels [N, ...], or None.
        batch_size: rows of a batch over all processes; at most one epoch.
        seed: the run's seed.
        rank: this process.
        world_size: number of processes W.
        draw: what makes of the gathered rows what the model sees, by random numbers that are a function of the batch's
            place, like the order; None: nothing is to be made of them.
        arrange: makes a batch of x, y and the places of its rows.
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
        """Batches of an epoch."""
        whole, rest = divmod(self.size, self.rows)
        return whole + (rest >= self.world_size)

    def epochs(self, steps: int) -> float:
        """How many epochs so many batches are."""
        return steps / len(self)

    def examples(self, steps: int) -> int:
        """What all processes are given together in so many batches, without what cannot be shared out."""
        whole, rest = divmod(self.size, self.rows)
        epochs, further = divmod(steps, len(self))
        return epochs * (whole * self.rows + rest - rest % self.world_size) + further * self.rows

    def __iter__(self) -> Iterator[Batch]:
        """The rest of the epoch, or the next one if nothing is left: Lightning never exhausts an iterator."""
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0
        order = self._order()
        while self.position < len(self):
            batch = order[self.position * self.rows :][: self.rows]
            self.position += 1
            yield self._batch(batch[: len(batch) - len(batch) % self.world_size][self.rank :: self.world_size])

    def state_dict(self) -> dict[str, int]:
        """The place in the data, the batch last given included."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes up the place that `state_dict` gave.

        Raises:
            ValueError: there is no such place.
        """
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position <= len(self):
            raise ValueError(f"its place in the data must be among {len(self)} batches, but is {position}")
        self.epoch, self.position = epoch, position

    def load_shares(self, states: Sequence[dict[str, int]]) -> None:
        """Takes up about the place of another number of processes."""
        place = states[0]
        self.load_state_dict(place | {"position": min(place["position"], len(self))})

    def _order(self) -> Tensor:
        with seeded(self.seed, "order", self.epoch):
            return torch.randperm(self.size).to(self.x.device)

    def _batch(self, index: Tensor) -> Batch:
        x = self.x.index_select(0, index)
        if self.draw is not None:
            with seeded(self.seed, "binarise", self.epoch, self.position, self.rank):
                x = self.draw(x)
        return self.arrange(x, None if self.y is None else self.y.index_select(0, index), index)
