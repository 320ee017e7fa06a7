"""Mean and variance of independent gradients, each a vector over the parameters."""

from __future__ import annotations

import math
from statistics import mean, stdev

import torch
from jaxtyping import Float
from torch import Tensor


class Moments:
    r"""Of gradients that are added one after another, at least four.

    The variance is the mean over parameters of that of each: over pairs of gradients, half the mean square of what they
    differ by, which is unbiased and whose error is that of a mean.
    """

    def __init__(self) -> None:
        self.num = 0
        self.total: Tensor | None = None
        self.last: Tensor | None = None
        self.halves: list[float] = []

    def add(self, g: Float[Tensor, " parameters"]) -> None:
        """Takes in one gradient."""
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
        """The mean variance of a parameter, and its standard error."""
        return mean(self.halves), stdev(self.halves) / math.sqrt(len(self.halves))

    def length(self) -> float:
        """Of the mean gradient, noise included."""
        assert self.total is not None
        return float(self.total.norm()) / self.num

    def noise(self) -> float:
        """What `length` would be by chance, were the mean 0: the root of the sum of variances over their number."""
        assert self.total is not None
        return math.sqrt(self.variance()[0] * self.total.numel() / self.num)

    def signal_to_noise(self) -> float | None:
        """Length of the mean, less its noise, over the root of the sum of variances; 0 where noise is all there is.

        None where there is no noise.
        """
        noise = self.noise()
        signal = math.sqrt(max(0.0, self.length() ** 2 - noise**2))
        return signal / (noise * math.sqrt(self.num)) if noise else None
