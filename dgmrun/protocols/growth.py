"""Protocols of networks whose resolution grows during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dgmrun.protocols.models import ImplicitModel

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Growing(Protocol):
    """A module that works at one resolution of several, or between two; which is saved with its weights."""

    def grow(self, resolution: float) -> None:
        """Sets the resolution, 0 the lowest, or, if there is none so high, the highest.

        At j + alpha, j and j + 1 are blended, by 1 - alpha to alpha.
        """


@runtime_checkable
class Growth(Protocol):
    """The schedule by which networks grow, a function of the step alone, and what examples are at a resolution."""

    def resolution_at(self, step: int) -> float:
        """The resolution after so many steps."""

    def steps_to_grow(self) -> int:
        """Number of steps after which the resolution is that of the data."""

    def shown(self, x: Tensor) -> Tensor:
        """Examples [batch, *event.shape] at the present resolution, in the same shape."""

    def grain(self, x: Tensor) -> Tensor:
        """Noise N(0, 1) in the shape of examples [batch, *event.shape], as coarse as the present resolution."""


@runtime_checkable
class Progressive(Growth, ImplicitModel, Protocol):
    """An implicit model with `Growing` parts, and the schedule by which they grow."""
