"""Contrastive divergence: the surrogate loss of `contrast`, with chains that start at the data at every iteration.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.objectives.contrastive.half_step import check_others, half_step
from dgmrun.protocols.models import Learnable
from dgmrun.protocols.samplers import TwoLayers
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


class CD(Objective):
    """CD-k: cheap, but biased; modes that k Gibbs steps from the data do not reach are not penalised.

    The chain bound that it can log is that of the first half-step, x -> h, whatever k is; its prior is the other
    examples of the batch.

    Args:
        model: an unnormalised density.
        optimization: optimiser settings.
        k: number of Gibbs steps, at least 1. The bias vanishes as k grows.
        chain_bound: whether to log the chain bound of a model of two layers, for up to a fifth of the time of CD-1.

    Raises:
        ValueError: `k` is below 1, or the model has no second layer to bound the chain of.
    """

    requires: ClassVar[type] = Learnable
    takes_bfloat16: ClassVar[bool] = False

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1, chain_bound: bool = False) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        if chain_bound and not isinstance(model, TwoLayers):
            raise ValueError("`objective.chain_bound` must be false for a model without a hidden layer, but is true")
        self.k, self.chain_bound = k, chain_bound

    def begin(self, data: Source) -> None:
        """Refuses the chain bound with a batch size of 1 per process."""
        if self.chain_bound:
            check_others(data)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the contrast between the data and states k Gibbs steps from them."""
        state, steps, terms = batch.x, self.k, {}
        if self.chain_bound:
            state, bound = first_step(self.model, batch.x)  # type: ignore[arg-type]
            steps, terms = self.k - 1, {"chain_bound": bound.mean()}
        return contrast(self.model, batch.x, self.model.walk(state, steps)), terms  # type: ignore[operator]


@torch.no_grad()
def first_step(model: TwoLayers, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns states one Gibbs step from the data, and terms of the chain bound of its first half, [1, batch]."""
    step = half_step(model, x)
    return step.visible.sample().reshape(x.shape), step.bound
