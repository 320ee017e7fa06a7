"""Protocols of what some samplers can do beyond samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Imputing(Protocol):
    """A model of pictures that draws each row given those above, exactly."""

    def impute(self, x: Tensor, rows: int, context: Tensor | None = None) -> Tensor:
        """Draws the pixels of pictures [num, *event.shape] below their first `rows`, given these."""


@runtime_checkable
class Stepwise(Protocol):
    """A sampler that takes steps, of which fewer are faster."""

    def sample_by(self, sampler: str, steps: int | None) -> None:
        """Sets how samples are drawn: ancestral or by ddim, in so many steps; None for all."""
