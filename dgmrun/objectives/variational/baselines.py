r"""Baselines of a score-function estimator: what is taken from the learning signal of each layer, and its scale.

.. math:: w = (s - C(y) - c) / \max(1, \sigma)

with y the layer below, C a net trained by the square of w, sigma^2 the running variance of r = s - C(y) over
earlier batches and c their running mean, or of each unit z with mean m, and h = z - m its score in the log odds,

.. math:: c = \frac{\mathrm{Cov}(r h, h)}{\mathrm{Var}(h)} = \frac{E[r h^2]}{E[h^2]}

as E[h] = 0: of constants the one that leaves the gradient in these log odds the least variance. None of them sees the
sample that it serves, so that with sigma off the estimator stays unbiased; sigma scales its mean by a known positive
factor, the same for all parameters of a layer's posterior.

References:
    Greensmith, Bartlett and Baxter (2004), Variance reduction techniques for gradient estimates in reinforcement
    learning, theorem 8.
    Paisley, Blei and Jordan (2012), Variational Bayesian inference with stochastic search,
    https://arxiv.org/abs/1206.6430, equation 10.
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030, section 2.3 and algorithm 1.
    Ranganath, Gerrish and Blei (2014), Black box variational inference, https://arxiv.org/abs/1401.0118, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgmrun.latent.trace import Trace

DECAY = 0.8
"""Of the running moments, from batch to batch."""
CENTRES, SCALES = ("none", "mean", "optimal"), ("none", "deviation", "variance")


class Baselines(nn.Module):
    """Those of every layer.

    Args:
        inputs: dimensions of the layer below each stochastic layer.
        units: of each stochastic layer.
        centre: c, the running `mean` of the layer, or what is `optimal` for each unit; or `none`.
        scale: by what the signal is divided, where that is above 1: its running `deviation` or `variance`, or
            `none`.
        network: hidden units of C; 0 for no net.

    Raises:
        ValueError: names the key.
    """

    def __init__(self, inputs: Sequence[int], units: Sequence[int], centre: str, scale: str, network: int) -> None:
        super().__init__()
        for key, value, known in (("centre", centre, CENTRES), ("scale", scale, SCALES)):
            if value not in known:
                raise ValueError(f"`objective.{key}` must be one of {', '.join(known)}, but is {value}")
        if network < 0:
            raise ValueError(f"`objective.network` must be at least 0, but is {network}")
        self.units, self.centre, self.scale = list(units), centre, scale
        sizes = [(below, network) for below in inputs] if network else []
        self.nets = nn.ModuleList([nn.Sequential(nn.Linear(*size), nn.Tanh(), nn.Linear(size[1], 1)) for size in sizes])
        self.state: dict[str, Tensor] = {}
        """Running moments: mean and variance of r of each layer; E[r h^2] and E[h^2] of each unit.

        The objective has the same dictionary for its rank state.
        """
        if centre == "mean" or scale != "none":
            self.state["moments"] = torch.zeros(2, len(inputs))
        if centre == "optimal":
            self.state["scores"] = torch.zeros(2, sum(units))

    def residuals(self, signals: Sequence[Tensor], below: Sequence[Tensor]) -> list[Tensor]:
        """r of each layer, [samples, batch, units or 1], with the gradient of C."""
        if not self.nets:
            return list(signals)
        return [s - net(y) for s, net, y in zip(signals, self.nets, below, strict=True)]

    def weights(self, residuals: Sequence[Tensor]) -> list[Tensor]:
        """w of each layer, [samples, batch, units or 1], with the gradient of C."""
        pairs = zip(residuals, self._centres(), self._scales(), strict=True)
        return [(r - c) / s for r, c, s in pairs]

    def _centres(self) -> Sequence[Tensor | float]:
        if self.centre == "none":
            return [0.0] * len(self.units)
        if self.centre == "mean":
            return list(self.state["moments"][0])
        of_r, of_h2 = self.state["scores"]
        return (of_r / of_h2.clamp(min=torch.finfo(of_h2.dtype).tiny)).split(self.units)

    def _scales(self) -> Sequence[Tensor | float]:
        if self.scale == "none":
            return [1.0] * len(self.units)
        variance = self.state["moments"][1]
        return list((variance.sqrt() if self.scale == "deviation" else variance).clamp(min=1))

    @torch.no_grad()
    def observe(self, residuals: Sequence[Tensor], trace: Trace) -> None:
        """Moves the running moments towards those of a batch."""
        if "moments" in self.state:
            self._move("moments", [torch.stack((r.mean(), r.var(correction=0))).unsqueeze(1) for r in residuals])
        if "scores" in self.state:
            squares = [(z - q.mean).square() for z, q in zip(trace.z, trace.q, strict=True)]
            pairs = zip(residuals, squares, strict=True)
            self._move("scores", [torch.stack(((r * h2).mean((0, 1)), h2.mean((0, 1)))) for r, h2 in pairs])

    def _move(self, name: str, layers: Sequence[Tensor]) -> None:
        now = torch.cat(list(layers), 1)
        self.state[name].lerp_(now.to(self.state[name]), 1 - DECAY)
