r"""Baselines of a score-function estimator: control variates for the learning signal of each layer, and its scale.

.. math:: w = (s - C(y) - c) / \max(1, \sigma)

where s is the learning signal, y the layer below, C a network trained to minimise the square of w, sigma^2 the running
variance of r = s - C(y) over earlier batches, and c its running mean or, for each unit z with mean m and score
h = z - m (derivative of log q in the log-odds),

.. math:: c = \frac{\mathrm{Cov}(r h, h)}{\mathrm{Var}(h)} = \frac{E[r h^2]}{E[h^2]}

as E[h] = 0: the constant that minimises the variance of the gradient in the log-odds. No baseline depends on the
sample to which it is applied, so that the estimator is unbiased without sigma; sigma scales its mean by a known
positive factor, the same for all parameters of a layer's posterior.

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
"""Decay of the running moments per batch."""
CENTRES, SCALES = ("none", "mean", "optimal"), ("none", "deviation", "variance")


class Baselines(nn.Module):
    """Baselines of all layers.

    Args:
        inputs: number of dimensions of the layer below each stochastic layer.
        units: number of units of each stochastic layer.
        centre: the constant c: the running `mean` of each layer, the `optimal` one of each unit, or `none`.
        scale: divisor of the signal if above 1: its running standard `deviation` or `variance`; or `none`.
        network: number of hidden units of C; 0 for no network.

    Raises:
        ValueError: a setting is invalid; the message names its key.
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
        """Running moments: mean and variance of r for each layer; E[r h^2] and E[h^2] for each unit.

        The objective uses the same dictionary as its `rank_state`.
        """
        if centre == "mean" or scale != "none":
            self.state["moments"] = torch.zeros(2, len(inputs))
        if centre == "optimal":
            self.state["scores"] = torch.zeros(2, sum(units))

    def residuals(self, signals: Sequence[Tensor], below: Sequence[Tensor]) -> list[Tensor]:
        """Returns r of each layer, [samples, batch, units or 1], differentiable in C."""
        if not self.nets:
            return list(signals)
        return [s - net(y) for s, net, y in zip(signals, self.nets, below, strict=True)]

    def weights(self, residuals: Sequence[Tensor]) -> list[Tensor]:
        """Returns w of each layer, [samples, batch, units or 1], differentiable in C."""
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
        """Updates the running moments with a batch."""
        if "moments" in self.state:
            self._move("moments", [torch.stack((r.mean(), r.var(correction=0))).unsqueeze(1) for r in residuals])
        if "scores" in self.state:
            squares = [(z - q.mean).square() for z, q in zip(trace.z, trace.q, strict=True)]
            pairs = zip(residuals, squares, strict=True)
            self._move("scores", [torch.stack(((r * h2).mean((0, 1)), h2.mean((0, 1)))) for r, h2 in pairs])

    def _move(self, name: str, layers: Sequence[Tensor]) -> None:
        now = torch.cat(list(layers), 1)
        self.state[name].lerp_(now.to(self.state[name]), 1 - DECAY)
