r"""A linear simulator with Gaussian noise, whose posterior is known: the ground truth of likelihood-free inference.

.. math:: x = A z + \sigma \epsilon, \qquad p(z \mid x) = N\big(\Sigma A^\top x / \sigma^2, \Sigma\big), \qquad
          \Sigma = (I + A^\top A / \sigma^2)^{-1}
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal


class ConjugateGaussian:
    """The simulator, of z with the prior N(0, I).

    Args:
        matrix: A, a row for each dimension of x and a column for each unit of z.
        noise: sigma.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(self, matrix: Sequence[Sequence[float]], noise: float) -> None:
        if not matrix or not matrix[0] or len({len(row) for row in matrix}) > 1:
            raise ValueError(f"`simulate.matrix` must have rows of one length, but is {matrix}")
        if noise <= 0:
            raise ValueError(f"`simulate.noise` must be positive, but is {noise}")
        self.matrix, self.noise = torch.tensor(matrix, dtype=torch.float64), float(noise)

    def __call__(self, z: Tensor) -> Tensor:
        """x [num, D], given z [num, units]."""
        x = z @ self.matrix.t().to(z)
        return x + self.noise * torch.randn_like(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z | x), [batch] Gaussians of all units, in double precision."""
        a = self.matrix.to(x.device)
        precision = torch.eye(a.shape[1], dtype=a.dtype, device=a.device) + a.t() @ a / self.noise**2
        mean = torch.linalg.solve(precision, (x.to(a) @ a / self.noise**2).t()).t()
        return MultivariateNormal(mean, precision_matrix=precision, validate_args=False)
