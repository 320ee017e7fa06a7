"""Contrastive divergence: the surrogate loss of `contrast`, with chains that start at the data at every iteration.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.protocols.models import Learnable
from dgmrun.protocols.values import Batch


class CD(Objective):
    """CD-k: cheap, but biased; modes that k Gibbs steps from the data do not reach are not penalised.

    Args:
        model: an unnormalised density.
        optimization: optimiser settings.
        k: number of Gibbs steps, at least 1. The bias vanishes as k grows.

    Raises:
        ValueError: `k` is below 1.
    """

    requires: ClassVar[type] = Learnable

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        self.k = k

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the contrast between the data and states k Gibbs steps from them."""
        return contrast(self.model, batch.x, self.model.walk(batch.x, self.k)), {}  # type: ignore[operator]
