"""What a model is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dgmrun.protocols.values import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@runtime_checkable
class Source(Protocol):
    """What is trained on: batches without end, with a place that a checkpoint can hold."""

    batch_size: int
    seed: int
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[Batch]:
        """The rest of this epoch, or the next one where this one is over."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The place: epoch and position."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place."""

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Goes about to the place that another number of processes had."""

    def epochs(self, steps: int) -> float | None:
        """How many epochs so many batches are; None for a stream, which has none."""

    def examples(self, steps: int) -> int:
        """How many examples so many batches are, those of all processes together."""
