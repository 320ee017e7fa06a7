"""Interface of training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dgmrun.protocols.values import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@runtime_checkable
class Source(Protocol):
    """Endless training batches, with a position that is saved in checkpoints."""

    batch_size: int
    seed: int
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[Batch]:
        """Yields the rest of the current epoch, or the next epoch if the current one is finished."""

    def __len__(self) -> int:
        """Number of batches in an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The current position: the epoch, and the batch within it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a position."""

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Restores the approximate position of a training that ran in another number of processes."""

    def epochs(self, steps: int) -> float | None:
        """Number of epochs in `steps` batches; None for a stream, which has no epochs."""

    def examples(self, steps: int) -> int:
        """Number of examples in `steps` batches, over all processes."""
