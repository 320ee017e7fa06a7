r"""Observation models p(x | z), factorised over dimensions, parameterised by the outputs of a decoder.

- Bernoulli, for binary data: outputs are logits.
- Gaussian, for real data and data in [0, 1]: outputs are means.
- Discretised logistic, for levels 0 to K - 1: outputs are locations, on a scale where levels lie between -1 and 1.

.. math:: p(k) = \sigma((x_k + \tfrac{1}{K-1} - \mu) / s) - \sigma((x_k - \tfrac{1}{K-1} - \mu) / s),
          \qquad x_k = 2k / (K - 1) - 1

where the lowest and the highest level include the tails.

References:
    Salimans, Karpathy, Chen and Kingma (2017), PixelCNN++, https://arxiv.org/abs/1701.05517, equation 2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import logsigmoid, softplus

from dgmrun.nn.binary import log_bernoulli
from dgmrun.protocols.values import Event

LEAST_SCALE = 1e-3
"""Lower limit of learned scales, without which the density is unbounded on data that repeat a value."""


class Observation(nn.Module, ABC):
    """Maps outputs of a decoder [*batch, outputs * channels, ...] to p(x | z).

    Args:
        event: event of one example.
        scale: a positive number; `learned`, one for all dimensions; or `per_pixel`, a second output for each dimension.

    Raises:
        ValueError: the scale is invalid; the message names its key.
    """

    kinds: ClassVar[tuple[str, ...]]
    unit: ClassVar[float] = 1.0
    """Scale parameter at which the standard deviation is 1."""

    def __init__(self, event: Event, scale: float | str | None) -> None:
        super().__init__()
        is_number = type(scale) in (int, float) and scale > 0  # type: ignore[operator]
        if not is_number and scale not in (None, "learned", "per_pixel"):
            raise ValueError(f"`model.scale` must be a positive number, learned or per_pixel, but is {scale}")
        self.scale = scale
        self.outputs = 2 if scale == "per_pixel" else 1
        self.raw_scale = nn.Parameter(torch.tensor(0.5)) if scale == "learned" else None
        self.channels = -len(event.shape)

    def seen(self, x: Tensor) -> Tensor:
        """Returns x in the form that networks take as input."""
        return x

    def start(self, x: Tensor) -> Tensor:
        """Returns outputs [*event.shape] for which p(x | z) has the means of the examples `x`."""
        return self.seen(x).mean(0)

    def start_scale(self, x: Tensor) -> Tensor:
        """Returns the raw scale for which p(x | z) has the root mean square deviation of the examples `x`."""
        seen = self.seen(x)
        scale = self.unit * (seen - seen.mean(0)).square().mean().sqrt() - LEAST_SCALE
        positive = scale.clamp(min=LEAST_SCALE)
        return positive + torch.log(-torch.expm1(-positive))

    @abstractmethod
    def forward(self, outputs: Tensor) -> Distribution:
        """Returns p(x | z), [*batch, *event.shape]."""

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) [samples, batch], for x [batch, *event.shape]."""
        return self(outputs).log_prob(x).flatten(2).sum(-1)

    def located(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Splits outputs into location and scale."""
        if self.outputs == 2:
            location, raw = outputs.chunk(2, self.channels)
            return location, softplus(raw) + LEAST_SCALE
        raw_scale = self.raw_scale
        return outputs, outputs.new_tensor(self.scale) if raw_scale is None else softplus(raw_scale) + LEAST_SCALE


class BernoulliObservation(Observation):
    """Bernoulli observation of binary x; its scale must be None."""

    kinds = ("binary",)

    def __init__(self, event: Event, scale: None = None) -> None:
        if scale is not None:
            raise ValueError(f"`model.scale` must be null for a Bernoulli observation, but is {scale}")
        super().__init__(event, None)

    def start(self, x: Tensor) -> Tensor:
        """Returns the logits of the means, clipped to [0.001, 0.999] as by Burda, Grosse and Salakhutdinov (2016)."""
        return torch.logit(x.mean(0).clamp(0.001, 0.999))

    def forward(self, outputs: Tensor) -> Bernoulli:
        """Returns p(x | z), with `outputs` as logits."""
        return Bernoulli(logits=outputs, validate_args=False)

    def log_prob(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) [samples, batch]."""
        return log_bernoulli(outputs.flatten(2), x.flatten(1))


class GaussianObservation(Observation):
    """Gaussian observation of real x, or of x in [0, 1], where the mass outside the interval is wasted."""

    kinds = ("real", "unit")

    def __init__(self, event: Event, scale: float | str | None = None) -> None:
        super().__init__(event, "learned" if scale is None else scale)

    def forward(self, outputs: Tensor) -> Normal:
        """Returns p(x | z), with `outputs` as means, and scales if `per_pixel`."""
        return Normal(*self.located(outputs), validate_args=False)


class LogisticObservation(Observation):
    """Discretised logistic observation of levels 0 to K - 1."""

    kinds = ("levels",)
    unit = math.sqrt(3) / math.pi

    def __init__(self, event: Event, scale: float | str | None = None) -> None:
        super().__init__(event, "learned" if scale is None else scale)
        assert event.size is not None
        self.levels = event.size

    def seen(self, x: Tensor) -> Tensor:
        """Scales levels to [-1, 1]."""
        return x * (2 / (self.levels - 1)) - 1

    def forward(self, outputs: Tensor) -> DiscretisedLogistic:
        """Returns p(x | z), with `outputs` as locations, and scales if `per_pixel`."""
        return DiscretisedLogistic(*self.located(outputs), self.levels)


class DiscretisedLogistic(Distribution):
    """Logistic distribution discretised into `levels` bins, numbered from 0, whose centres run from -1 to 1."""

    def __init__(self, location: Tensor, scale: Tensor, levels: int) -> None:
        super().__init__(location.shape, validate_args=False)
        self.location, self.inverse, self.levels = location, 1 / scale, levels

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of levels: the log of a difference of sigmoids, computed without cancellation."""
        half = 1 / (self.levels - 1)
        offset = (2 * half) * x.to(self.location.dtype) - 1 - self.location
        upper, lower = (offset + half) * self.inverse, (offset - half) * self.inverse
        width = 2 * half * self.inverse
        within = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-width))
        above_lowest = torch.where(x > 0, within, logsigmoid(upper))
        return torch.where(x < self.levels - 1, above_lowest, logsigmoid(-lower))

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws levels."""
        noise = torch.logit(torch.rand(self._extended_shape(sample_shape), device=self.location.device), eps=1e-6)
        return self._levels(self.location + noise / self.inverse).round()

    @property
    def mean(self) -> Tensor:
        """The location in levels, which approximates the mean."""
        return self._levels(self.location)

    def _levels(self, x: Tensor) -> Tensor:
        return ((x + 1) * ((self.levels - 1) / 2)).clamp(0, self.levels - 1)


FAMILIES: dict[str, Any] = {
    "bernoulli": BernoulliObservation,
    "gaussian": GaussianObservation,
    "discretised_logistic": LogisticObservation,
}


def observation(event: Event, family: str | None, scale: float | str | None) -> Observation:
    """Makes the observation model named `family`, or for None the one that suits the event.

    Raises:
        ValueError: there is no such family, it does not suit the event, or the scale is invalid.
    """
    suiting = {name: each for name, each in FAMILIES.items() if event.kind in each.kinds}
    if not suiting:
        event.require([kind for each in FAMILIES.values() for kind in each.kinds], "a decoder")
    if family is not None and (not isinstance(family, str) or family not in suiting):
        raise ValueError(f"`model.observation` must be {' or '.join(suiting)} for {event.kind} data, but is {family}")
    return suiting[family or next(iter(suiting))](event, scale)
