"""Contrastive divergence: the surrogate of `contrast`, with k Gibbs steps from the data for samples of the model.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.protocols.models import UnnormalisedDensity
from dgmrun.protocols.values import Batch


class CD(Objective):
    """CD-k: cheap, biased towards models that the chain from the data does not leave in k steps.

    Args:
        model: an unnormalised density.
        optimization: how its parameters follow the gradient.
        k: Gibbs steps, at least 1. The bias vanishes as k grows.

    Raises:
        ValueError: `k` is below 1.
    """

    requires: ClassVar[type] = UnnormalisedDensity

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        self.k = k

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The contrast between the data and k steps from them."""
        return contrast(self.model, batch.x, self.model.walk(batch.x, self.k)), {}  # type: ignore[operator]
