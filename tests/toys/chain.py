"""Toy: a chain without a density, a denoising autoencoder of bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from dgmrun.protocols.values import Batch, Event

NOISE = 0.2


class Denoiser(nn.Module):
    """A step flips each bit with probability 0.2 and draws bits from the net's guess of what they were."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        event.require(("binary",), "a denoiser of bits")
        self.event, self.net = event, nn.Linear(event.dims, event.dims)

    def _flipped(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - (torch.rand_like(x.flatten(1)) < NOISE).to(x)).abs()

    def training_loss(self, batch: Batch) -> Tensor:
        """Nats of each example, given what noise has left of it."""
        x = batch.x.flatten(1)
        return cross_entropy(self.net(self._flipped(x)), x, reduction="none").sum(-1)

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """After so many steps."""
        for _ in range(steps):
            x = torch.bernoulli(torch.sigmoid(self.net(self._flipped(x)))).reshape(x.shape)
        return x
