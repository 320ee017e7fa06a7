"""Mean and variance of independent gradient estimates, each a vector over the parameters."""

from __future__ import annotations

import math
from statistics import mean, stdev

import torch
from jaxtyping import Float
from torch import Tensor


class Moments:
    r"""Running moments of gradient estimates, of which at least four must be added.

    The variance is averaged over parameters. Half the mean squared difference of each pair of gradients is an unbiased
    estimate of it; averaging over independent pairs also gives its standard error.
    """

    def __init__(self) -> None:
        self.num = 0
        self.total: Tensor | None = None
        self.last: Tensor | None = None
        self.halves: list[float] = []

    def add(self, g: Float[Tensor, " parameters"]) -> None:
        """Adds one gradient."""
        self.num += 1
        if self.total is None:
            self.total = torch.zeros_like(g, dtype=torch.float64)
        self.total += g
        if self.last is None:
            self.last = g
        else:
            self.halves.append(float((g - self.last).square().mean(dtype=torch.float64)) / 2)
            self.last = None

    def variance(self) -> tuple[float, float]:
        """Variance averaged over parameters, and its standard error."""
        return mean(self.halves), stdev(self.halves) / math.sqrt(len(self.halves))

    def length(self) -> float:
        """Norm of the mean gradient, noise included."""
        assert self.total is not None
        return float(self.total.norm()) / self.num

    def noise(self) -> float:
        """Root mean square of `length` if the expected gradient were 0: sqrt(sum of variances / number added)."""
        assert self.total is not None
        return math.sqrt(self.variance()[0] * self.total.numel() / self.num)

    def signal_to_noise(self) -> float | None:
        """Norm of the mean gradient, corrected for noise, over the root of the sum of variances; at least 0.

        None if the variance is 0.
        """
        noise = self.noise()
        signal = math.sqrt(max(0.0, self.length() ** 2 - noise**2))
        return signal / (noise * math.sqrt(self.num)) if noise else None
