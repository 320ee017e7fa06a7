r"""Baselines of a score-function estimator: what is taken from the learning signal of each layer, and its scale.

.. math:: w = (s - C(y) - c) / \max(1, \sigma)

with y the layer below, C a net trained by the square of what is left, c and sigma^2 the running mean and variance of
s - C(y) over earlier batches. None of them sees the sample that it serves, so that with sigma off the estimator stays
unbiased; sigma scales its mean by a known positive factor, which is the same for all parameters of a layer's posterior.

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030, section 2.3 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

DECAY = 0.8
"""Of the running mean and variance, from batch to batch."""
SCALES = ("deviation", "variance")


class Baselines(nn.Module):
    """Those of every layer.

    Args:
        inputs: dimensions of the layer below each stochastic layer.
        running_mean: whether c is on.
        scale: by what the signal is divided, where that is above 1: its running `deviation`, or its `variance` as in
            slides of the time; None for neither.
        network: hidden units of C; None for none.

    Raises:
        ValueError: names the key.
    """

    def __init__(self, inputs: Sequence[int], running_mean: bool, scale: str | None, network: int | None) -> None:
        super().__init__()
        if scale is not None and scale not in SCALES:
            raise ValueError(f"`objective.scale` must be null or one of {', '.join(SCALES)}, but is {scale}")
        if network is not None and (type(network) is not int or network < 1):
            raise ValueError(f"`objective.network` must be a whole number above 0 or null, but is {network}")
        self.running_mean, self.scale = running_mean, scale
        sizes = [] if network is None else [(below, network) for below in inputs]
        self.nets = nn.ModuleList([nn.Sequential(nn.Linear(*size), nn.Tanh(), nn.Linear(size[1], 1)) for size in sizes])
        self.moments = torch.zeros(2, len(inputs))
        """c and sigma^2 of each layer: rank state."""

    def residuals(self, signals: Sequence[Tensor], below: Sequence[Tensor]) -> list[Tensor]:
        """s - C(y) of each layer, [samples, batch], with the gradient of C."""
        if not self.nets:
            return list(signals)
        return [s - net(y).squeeze(-1) for s, net, y in zip(signals, self.nets, below, strict=True)]

    def weights(self, residuals: Sequence[Tensor]) -> list[Tensor]:
        """w of each layer, [samples, batch], with the gradient of C."""
        mean, variance = self.moments
        centres = mean if self.running_mean else torch.zeros_like(mean)
        scales = {"deviation": variance.sqrt(), "variance": variance}.get(self.scale or "", torch.ones_like(mean))
        return [(r - c) / s for r, c, s in zip(residuals, centres, scales.clamp(min=1), strict=True)]

    def observe(self, residuals: Sequence[Tensor]) -> None:
        """Moves the running moments towards those of a batch."""
        now = torch.stack([torch.stack((r.detach().mean(), r.detach().var(correction=0))) for r in residuals], 1)
        self.moments.lerp_(now.to(self.moments), 1 - DECAY)
