"""Ways to draw the layers of a latent variable model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

Draw = Callable[[int, "Distribution"], "Tensor"]
"""Maps the index of a layer, bottom first, and its distribution to values [samples, batch, units]."""


def sampled(num: int) -> Draw:
    """Draws `num` samples for each example, without a gradient."""
    return lambda layer, q: q.sample(_further(num, q))


def reparameterised(num: int) -> Draw:
    """Draws `num` samples for each example, differentiable in the parameters of their distributions."""
    return lambda layer, q: q.rsample(_further(num, q))


def mean(layer: int, q: Distribution) -> Tensor:
    """Returns the mean of the layer as a single sample."""
    return q.mean.expand(*_further(1, q), *q.mean.shape)


def given(z: Sequence[Tensor]) -> Draw:
    """Returns the given values, one tensor for each layer."""
    return lambda layer, q: z[layer]


def _further(num: int, q: Distribution) -> tuple[int, ...]:
    """Returns the shape of the sample axis, which is empty if `q` already has that axis from the layer below."""
    return (num,) if len(q.batch_shape) + len(q.event_shape) == 2 else ()
