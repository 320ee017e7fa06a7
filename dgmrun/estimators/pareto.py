r"""Pareto tail index of importance weights, which tells which of their moments exist.

Above a high threshold, weights follow a generalised Pareto distribution with shape k, whose moments exist up to order
1 / k. Above k = 0.7, no practical number of samples makes the mean reliable.

References:
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling,
    https://arxiv.org/abs/1507.02646, sections 2 to 4.
    Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

LEAST, ROUNDING = 5, 1e-12
"""Least number of tail weights for a shape; excess of one, in units of the largest weight, that counts as none."""
PRIOR, PRIOR_SIZE = 0.5, 10
"""Weak prior on k: its value, and the number of tail weights that it counts as."""


def pareto_k(log_w: Float64[Tensor, "samples"]) -> float:
    r"""Estimates the shape :math:`\hat k` of the tail of the weights.

    Weights equal to the threshold, up to rounding, are left out. If none remain, there is no tail, and the shape is
    minus infinity; if fewer than 5 remain, the shape cannot be estimated and is set to infinity.
    """
    num = len(log_w)
    tail = math.ceil(min(num / 5, 3 * math.sqrt(num)))
    largest = (log_w - log_w.max()).sort().values[-tail - 1 :].exp()
    excess = largest - largest[0]
    excess = excess[excess > ROUNDING]
    if len(excess) < LEAST:
        return math.inf if len(excess) else -math.inf
    return (float(shape(excess)) * len(excess) + PRIOR * PRIOR_SIZE) / (len(excess) + PRIOR_SIZE)


def threshold(num: int) -> float:
    """Largest shape at which the mean of `num` weights is reliable (Vehtari et al., section 3.2.4)."""
    return min(1 - 1 / math.log10(num), 0.7)


def shape(x: Float64[Tensor, "tail"]) -> Float64[Tensor, ""]:
    """Shape k of a generalised Pareto distribution, averaged over a profile likelihood (Zhang and Stephens, 2009).

    The values x are in ascending order.
    """
    num = len(x)
    grid = 30 + math.floor(math.sqrt(num))
    step = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device) - 0.5
    quartile = x[math.floor(num / 4 + 0.5) - 1]
    b = 1 / x[-1] + (1 - (grid / step).sqrt()) / (3 * quartile)
    k = torch.log1p(-b[:, None] * x).mean(1)
    log_likelihood = num * (torch.log(-b / k) - k - 1)
    posterior = torch.softmax(log_likelihood, 0)
    return torch.log1p(-(posterior @ b) * x).mean()
