"""Standardisation of real data, as the first layer of a density: z = (x - mean) / scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Maps x [batch, ...] to z [batch, D] with mean 0 and standard deviation 1 over the examples it was fitted to.

    Args:
        dims: number of dimensions D.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("scale", torch.ones(dims))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Takes mean and scale from examples; a constant dimension has the scale 1."""
        flat = x.flatten(1).double()
        scale = flat.std(0, correction=0)
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(scale.where(scale > 0, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """z [batch, D]."""
        return (x.flatten(1) - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        """x [batch, D]."""
        return self.mean + self.scale * z

    def log_jacobian(self) -> Tensor:
        """log |det dz/dx|, a scalar."""
        return -self.scale.log().sum()
