"""Maximum likelihood of examples with Gaussian noise added, which smooths the density that is learnt."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.values import Batch


class NoisyMLE(Objective):
    """The loss is the negative log-likelihood of x + noise * z with z standard normal, in nats per example.

    Args:
        model: a tractable density.
        optimization: optimiser settings.
        noise: standard deviation of the noise.

    Raises:
        ValueError: the noise is negative.
    """

    requires: ClassVar[type] = TractableDensity

    def __init__(self, model: nn.Module, optimization: Optimization, noise: float) -> None:
        super().__init__(model, optimization)
        if noise < 0:
            raise ValueError(f"`objective.noise` must not be negative, but is {noise}")
        self.noise = noise

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the negative mean log-probability of the batch with noise."""
        noisy = batch.x + self.noise * torch.randn_like(batch.x)
        return -self.model.log_prob(noisy, batch.context).mean(), {}  # type: ignore[operator]
