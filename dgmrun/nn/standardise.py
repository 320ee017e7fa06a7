"""The first layer of a density: real data are standardised, z = (x - mean) / scale, and all others left as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Distribution, TransformedDistribution

from dgmrun.protocols.values import Event


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
        flat = x.reshape(len(x), -1).double()
        is_constant = flat.amin(0) == flat.amax(0)
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(flat.std(0, correction=0).where(~is_constant, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """z [batch, D]."""
        return (x.reshape(len(x), -1) - self.mean) / self.scale

    def inverse(self, z: Tensor) -> Tensor:
        """x [batch, D]."""
        return self.mean + self.scale * z

    def law(self, of_z: Distribution) -> Distribution:
        """Distribution of x [batch, D], where z has the one given."""
        return TransformedDistribution(of_z, AffineTransform(self.mean, self.scale), validate_args=False)

    def log_jacobian(self) -> Tensor:
        """log |det dz/dx|, a scalar."""
        return -self.scale.log().sum()


class Unchanged(nn.Module):
    """Stands in for `Standardise` where x are no real numbers: z = x [batch, D]."""

    def fit(self, x: Tensor) -> None:
        """Does nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """z [batch, D]."""
        return x.reshape(len(x), -1)

    def inverse(self, z: Tensor) -> Tensor:
        """x [batch, D]."""
        return z

    def law(self, of_z: Distribution) -> Distribution:
        """The distribution itself."""
        return of_z

    def log_jacobian(self) -> Tensor:
        """0, a scalar."""
        return torch.zeros(())


def first_layer(event: Event) -> Standardise | Unchanged:
    """Returns the first layer of a density of such examples."""
    return Standardise(event.dims) if event.kind == "real" else Unchanged()
