"""Protocols of generators that have a density once Gaussian noise is added to their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dgmrun.protocols.models import Annealable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Noisy(Annealable, Protocol):
    """A generator with Gaussian noise added: a latent variable model x = g(z) + s * N(0, I)."""

    def noise_scale(self) -> float:
        """Standard deviation s of the noise."""

    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples x [num, *event.shape], and the latent units that `posterior_path` anneals, [1, num, units]."""


@runtime_checkable
class Smoothed(Protocol):
    """A generator of continuous data, x = g(z)."""

    def smoothed(self, scale: float) -> Noisy:
        """The model with noise of standard deviation `scale` added, in the units of x."""
