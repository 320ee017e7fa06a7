r"""What REBAR and RELAX share: control variates of logistic variables, and how they are tuned.

Their parameters descend the sum over units of the mean squared estimate, which, as the estimate has the same mean
whatever they are, is its variance and a constant.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.gradients.control_variates import relaxed
from dgmrun.gradients.relaxation import logistic, uniform
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.layerwise import Layerwise, Noise
from dgmrun.protocols.values import Batch


class Relaxed(Layerwise, ABC):
    """A subclass says what its control variate is.

    Args:
        model: a latent variable model of binary units, those of a layer independent given the one below.
        optimization: how parameters follow the gradient.
        k: samples of z for each example, of whose estimates the mean is taken.
        temperature: of the relaxation, where it starts; each layer's own is trained.

    Raises:
        ValueError: names the key.
    """

    def __init__(self, model: nn.Module, optimization: Optimization, k: int, temperature: float) -> None:
        super().__init__(model, optimization, k)
        if temperature <= 0:
            raise ValueError(f"`objective.temperature` must be positive, but is {temperature}")
        self.sizes = [z.shape[-1] for z in self.probe().z]
        self.log_temperature = nn.Parameter(torch.full((len(self.sizes),), math.log(temperature)))

    @abstractmethod
    def control(self, layer: int, zeta: Tensor, signal: Tensor) -> Tensor:
        """The control variate of a layer, [samples, batch].

        Args:
            layer: its number.
            zeta: logistic variables, [samples, batch, units].
            signal: the learning signal at their relaxed units.
        """

    def estimate(self, batch: Batch, trace: Trace, layer: int, f: Tensor, noise: Noise) -> Tensor:
        """See `gradients.control_variates.relaxed`; the layers above share the noise of the hard ones."""

        def soften(place: int, zeta: Tensor) -> Tensor:
            return torch.sigmoid(zeta / self.log_temperature[place].exp())

        def above(place: int, q: Any) -> Tensor:
            return soften(place, logistic(q.logits, noise.u[place]))

        def c(zeta: Tensor) -> Tensor:
            return self.control(layer, zeta, self.signal(batch, trace, layer, soften(layer, zeta), above))

        a, u = noise.logits[layer], noise.u[layer]
        return relaxed(f, c, a, u, uniform(a))

    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """A scalar of value 0, whose gradient in the parameters of the control variates is that of the variance."""
        tuned = self.own_parameters()
        variance = torch.stack([g.square().sum(-1).mean() for g in estimates]).sum()
        slopes = torch.autograd.grad(variance, tuned)
        linear = torch.stack([(part * slope).sum() for part, slope in zip(tuned, slopes, strict=True)]).sum()
        return linear - linear.detach()
