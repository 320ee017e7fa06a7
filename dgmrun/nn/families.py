"""Families of distributions of one dimension, each for a kind of data: what outputs of a network or a table mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal

from dgmrun.nn.binary import Bernoulli, marginal_logits, precise
from dgmrun.nn.observation import LEAST_SCALE, DiscretisedLogistic
from dgmrun.protocols.values import Event


class Family(ABC):
    """Maps outputs [..., D, size] to a distribution of each dimension [..., D].

    Args:
        event: event of one example.
    """

    size: int
    """Number of outputs for each dimension."""

    def __init__(self, event: Event) -> None:
        self.event = event

    @abstractmethod
    def __call__(self, outputs: Tensor) -> Distribution:
        """Returns the distributions, in single precision or higher."""

    @abstractmethod
    def start(self, x: Tensor) -> Tensor:
        """Returns outputs [D, size] that fit examples x [N, D], independently in each dimension."""


class BinaryFamily(Family):
    """Bernoulli distributions; outputs are logits."""

    size = 1

    def __call__(self, outputs: Tensor) -> Bernoulli:
        """Returns the distributions of bits."""
        return Bernoulli(outputs.squeeze(-1))

    def start(self, x: Tensor) -> Tensor:
        """Returns the logits of the smoothed means."""
        return marginal_logits(x).unsqueeze(-1)


class RealFamily(Family):
    """Gaussians; outputs are means and log-scales. A scale has a lower limit, without which densities are unbounded."""

    size = 2

    def __call__(self, outputs: Tensor) -> Normal:
        """Returns the distributions of real numbers."""
        mean, log_scale = precise(outputs).unbind(-1)
        return Normal(mean, log_scale.exp() + LEAST_SCALE, validate_args=False)

    def start(self, x: Tensor) -> Tensor:
        """Returns means and logarithms of standard deviations."""
        scale, mean = torch.std_mean(x, 0, correction=0)
        return torch.stack((mean, (scale - LEAST_SCALE).clamp(min=LEAST_SCALE).log()), -1)


class FiniteFamily(Family):
    """Categorical distributions of levels or classes; outputs are unnormalised log-probabilities."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        assert event.size is not None
        self.size = event.size

    def __call__(self, outputs: Tensor) -> Categorical:
        """Returns the distributions of whole numbers from 0."""
        return Categorical(logits=precise(outputs), validate_args=False)

    def start(self, x: Tensor) -> Tensor:
        """Returns the logarithms of the smoothed frequencies."""
        counts = torch.stack([torch.bincount(column, minlength=self.size) for column in x.t()])
        return torch.log((counts + 0.5) / (len(x) + 0.5 * self.size))


class LogisticMixture(Family):
    """Mixtures of discretised logistics over levels; outputs are log-weights, locations from -1 to 1, and log-scales.

    Salimans, Karpathy, Chen and Kingma (2017), PixelCNN++, https://arxiv.org/abs/1701.05517, equations 1 and 2, without
    their linear dependence between colours.

    Args:
        event: event of one example.
        components: number of components of each mixture.
    """

    def __init__(self, event: Event, components: int) -> None:
        super().__init__(event)
        assert event.size is not None
        self.levels, self.size = event.size, 3 * components

    def __call__(self, outputs: Tensor) -> MixtureSameFamily:
        """Returns the distributions of levels."""
        log_weight, location, log_scale = precise(outputs).chunk(3, -1)
        components = DiscretisedLogistic(location, log_scale.exp() + LEAST_SCALE, self.levels)
        return MixtureSameFamily(Categorical(logits=log_weight, validate_args=False), components, validate_args=False)

    def start(self, x: Tensor) -> Tensor:
        """Returns, for one component, the moments of x; for several, equal ones with locations from -1 to 1."""
        number = self.size // 3
        if number == 1:
            scale, location = torch.std_mean(2 * x.double() / max(1, self.levels - 1) - 1, 0, correction=0)
            log_scale = (scale * math.sqrt(3) / math.pi).clamp(min=LEAST_SCALE).log()
            return torch.stack((torch.zeros_like(location), location, log_scale), 1).float()
        location = torch.linspace(-1, 1, number)
        parts = (torch.zeros_like(location), location, torch.full_like(location, -math.log(number)))
        return torch.cat(parts).expand(x.shape[1], -1)


FAMILIES: dict[str, type[Family]] = {
    "binary": BinaryFamily,
    "real": RealFamily,
    "levels": FiniteFamily,
    "categorical": FiniteFamily,
}
