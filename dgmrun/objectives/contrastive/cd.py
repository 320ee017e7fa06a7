"""Contrastive divergence: the surrogate loss of `contrast`, with chains that start at the data at every iteration.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn.binary import bernoulli
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.objectives.contrastive.half_step import TwoLayers, half_step
from dgmrun.protocols.models import Learnable
from dgmrun.protocols.values import Batch


class CD(Objective):
    """CD-k: cheap, but biased; modes that k Gibbs steps from the data do not reach are not penalised.

    Of a model of two layers, it logs `chain_bound` of the first half-step, x -> h, whatever k is; its prior is the
    other examples of the batch.

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
        state, steps, terms = batch.x, self.k, {}
        if isinstance(self.model, TwoLayers):
            state, bound = first_step(self.model, batch.x)
            steps, terms = self.k - 1, {"chain_bound": bound.mean()}
        return contrast(self.model, batch.x, self.model.walk(state, steps)), terms  # type: ignore[operator]


@torch.no_grad()
def first_step(model: TwoLayers, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns states one Gibbs step from the data, and terms of the chain bound of its first half, [1, batch]."""
    step = half_step(model, x)
    return bernoulli(torch.sigmoid(step.visible_logits)).reshape(x.shape), step.bound
