"""Samples of a model: exact ones where it samples itself or can be enumerated, else the ends of long Gibbs chains."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.protocols.models import Enumerable, Sampler

EXACT_BITS = 23
"""Largest smaller layer that is enumerated unasked: 2^23 states, 64 MiB of masses."""


def can_be_exact(model: object) -> bool:
    """Whether `samples` gives exact, independent samples of this model."""
    is_small = isinstance(model, Enumerable) and model.enumerable_bits() <= EXACT_BITS
    return is_small or isinstance(model, Sampler)


def samples(model: Any, num: int, base_logits: Tensor, burn_in: int) -> Tensor:
    """`num` samples of the model [num, *event.shape].

    Args:
        model: a sampler or an unnormalised density.
        num: how many.
        base_logits: log odds of the independent units from which chains start [*event.shape].
        burn_in: sweeps of each chain, where samples cannot be exact.
    """
    if isinstance(model, Sampler):
        return model.sample(num)
    if can_be_exact(model):
        return enumeration.samples(model, num)
    start = model.annealed(base_logits).start(num)
    return model.gibbs(start.reshape(num, *base_logits.shape), burn_in)
