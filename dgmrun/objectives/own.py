"""Training by a loss that the model itself defines, for models that no other objective fits."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.base import Objective
from dgmrun.protocols.models import SelfTrained
from dgmrun.protocols.values import Batch


class Own(Objective):
    """Minimises the mean of the model's `training_loss`, in the units of that loss."""

    requires: ClassVar[type] = SelfTrained

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean loss."""
        return self.model.training_loss(batch).mean(), {}  # type: ignore[operator]

    def watched(self, batch: Batch) -> Tensor:
        """Returns the loss of each example, [batch]."""
        return self.model.training_loss(batch)  # type: ignore[operator]
