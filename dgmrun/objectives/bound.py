"""Training by a bound on -log p that the model itself computes, as diffusion models do."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.base import Objective
from dgmrun.protocols.models import Bounded
from dgmrun.protocols.values import Batch


class Bound(Objective):
    """Minimises the mean of the model's bound on -log p, in nats per example."""

    requires: ClassVar[type] = Bounded

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean bound."""
        bound: Tensor = self.model.bound(batch).mean()  # type: ignore[operator]
        return bound, {"bound": bound.detach()}
