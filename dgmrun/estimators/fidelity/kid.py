r"""Kernel inception distance: squared maximum mean discrepancy with a polynomial kernel of features, without bias.

.. math:: k(x, y) = (x^\top y / F + 1)^3

in F features. A figure can be negative, as it has no bias: the mean over samples of any number is that of infinitely
many, so that figures of different numbers of samples can be compared.

All pairs of rows are summed, rather than those of random subsets, and the standard error is that of the jackknife
(`dgmrun.estimators.kernels`). That of libraries is the spread over subsets of the same rows, which are nearly equal
where a subset is nearly all: of 10 examples and 10 samples they claim an error of 1e-7.

References:
    Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs, https://arxiv.org/abs/1801.01401, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.estimators.kernels import FEWEST, estimated, products
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class KID(FeatureMethod):
    """The distance, which has no unit, as a kernel of features has none, and depends on their scale.

    It costs n + m squared products of features.

    Use it where there are few examples, of which FID would be biased.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    quantity: ClassVar[str] = "kid"
    fewest: ClassVar[int] = FEWEST

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns the sum of the kernel of each sample with all examples, over their number, and the estimate."""
        x, y = self.drawn(model, evidence)
        n, m = len(x), len(y)
        is_x = torch.cat([x.new_ones(n), x.new_zeros(m)])
        kx, ky = products(cubic, torch.cat([x, y]), torch.stack([is_x, 1 - is_x], 1)).T
        return kx[n:] / n, estimated(self, kx, ky, n, evidence)


def cubic(x: Tensor, y: Tensor) -> Tensor:
    """The kernel of rows x [n, F] and y [m, F], [n, m]."""
    return (x @ y.T / x.shape[1] + 1) ** 3
