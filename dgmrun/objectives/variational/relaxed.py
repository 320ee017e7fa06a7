r"""Base class of REBAR and RELAX: control variates that are functions of logistic variables, and their training.

Their parameters minimise the mean squared gradient estimate, summed over units. As the mean of the estimate does not
depend on them, this is its variance up to a constant.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
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
    """Base class; subclasses define the control variate.

    Args:
        model: a model with binary latent units, those of a layer independent given the layer below.
        optimization: optimiser settings.
        k: number of samples of z for each example; the estimate is averaged over them.
        temperature: initial temperature of the relaxation; each layer's own is trained.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(self, model: nn.Module, optimization: Optimization, k: int, temperature: float) -> None:
        super().__init__(model, optimization, k)
        if temperature <= 0:
            raise ValueError(f"`objective.temperature` must be positive, but is {temperature}")
        self.sizes = [z.shape[-1] for z in self.probe().z]
        self.log_temperature = nn.Parameter(torch.full((len(self.sizes),), math.log(temperature)))

    @abstractmethod
    def control(self, layer: int, zeta: Tensor, signal: Tensor) -> Tensor:
        """Returns the control variate of a layer, [samples, batch].

        Args:
            layer: index of the layer.
            zeta: logistic variables, [samples, batch, units].
            signal: learning signal at their relaxed units.
        """

    def estimate(self, batch: Batch, trace: Trace, layer: int, f: Tensor, noise: Noise) -> Tensor:
        """Returns the gradient of `gradients.control_variates.relaxed`; layers above reuse the noise of the trace."""
        a, u = noise.logits[layer], noise.u[layer]
        twice = replace(trace, z=[z.repeat(2, 1, 1) for z in trace.z[:layer]])
        above = partial(self._again, [each.repeat(2, 1, 1) for each in noise.u])

        def c(zeta: Tensor) -> Tensor:
            flat = zeta.flatten(0, 1)
            signal = self.signal(batch, twice, layer, self._soft(layer, flat), above)
            return self.control(layer, flat, signal).unflatten(0, (2, -1))

        return relaxed(f, c, a, u, uniform(a))

    def _again(self, u: Sequence[Tensor], layer: int, q: Any) -> Tensor:
        return self._soft(layer, logistic(q.logits, u[layer]))

    def _soft(self, layer: int, zeta: Tensor) -> Tensor:
        return torch.sigmoid(zeta / self.log_temperature[layer].exp())

    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """Returns a scalar of value 0, whose gradient in the control variates' parameters is that of the variance."""
        tuned = self.own_parameters()
        variance = torch.stack([g.square().sum(-1).mean() for g in estimates]).sum()
        slopes = torch.autograd.grad(variance, tuned)
        linear = torch.stack([(part * slope).sum() for part, slope in zip(tuned, slopes, strict=True)]).sum()
        return linear - linear.detach()
