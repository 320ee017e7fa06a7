"""Diagonal Gaussians over latent units."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Normal


def normal(parameters: Tensor) -> Normal:
    """Returns a Gaussian for each unit, from concatenated means and log standard deviations [..., 2 * units]."""
    mean, log_scale = parameters.chunk(2, -1)
    return Normal(mean, log_scale.exp(), validate_args=False)


def standard_normal(z: Tensor) -> Normal:
    """Returns N(0, 1) for each unit of `z` [..., units]."""
    return Normal(z.new_zeros(z.shape[-1]), z.new_ones(z.shape[-1]), validate_args=False)
