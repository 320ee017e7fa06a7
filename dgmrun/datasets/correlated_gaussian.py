r"""A D-dimensional Gaussian with unit variances and equal pairwise correlations, whose entropy is known.

.. math::  \Sigma = (1 - \rho) I + \rho 1 1^T, \qquad |\Sigma| = (1 - \rho)^{D-1} (1 + (D-1) \rho)

No model has an expected mean log-likelihood above :math:`-\frac{1}{2} \ln |2 \pi e \Sigma|`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event


def load(data_dir: Path, sizes: Sequence[int], dims: int, correlation: float) -> Splits:
    """Draws x [N, D].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        dims: number of dimensions D.
        correlation: correlation of each pair of dimensions.
    """
    p = density(dims, correlation)
    return drawn("correlated_gaussian", sizes, lambda size: Split(p.sample((size,)).float()))


def event(sizes: Sequence[int], dims: int, correlation: float) -> Event:
    """Returns the event of x: D real numbers.

    Raises:
        Mistake: `dims` or `correlation` is out of range.
    """
    if dims < 1:
        raise Mistake(f"`dataset.dims` must be at least 1, but is {dims}")
    least = -1 / (dims - 1) if dims > 1 else -math.inf
    if not least < correlation < 1:
        raise Mistake(f"`dataset.correlation` must be above {least:.6g} and below 1, but is {correlation}")
    return Event((dims,), "real")


def density(dims: int, correlation: float) -> MultivariateNormal:
    """Returns the distribution, in float64."""
    covariance: Tensor = (1 - correlation) * torch.eye(dims, dtype=torch.float64) + correlation
    return MultivariateNormal(torch.zeros(dims, dtype=torch.float64), covariance)


def entropy(dims: int, correlation: float) -> float:
    """Returns the differential entropy in nats."""
    log_det = (dims - 1) * math.log1p(-correlation) + math.log1p((dims - 1) * correlation)
    return (dims * math.log(2 * math.pi * math.e) + log_det) / 2
