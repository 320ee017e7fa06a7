"""Samples of a model: exact ones where its states can be enumerated, else the ends of long Gibbs chains."""

from __future__ import annotations

from torch import Tensor

from dgmrun.estimators import exact
from dgmrun.protocols import Enumerable, UnnormalisedDensity

EXACT_BITS = 23
"""Largest smaller layer that is enumerated unasked: 2^23 states, 64 MiB of masses."""


def can_be_exact(model: object) -> bool:
    """Whether `samples` gives exact, independent samples of this model."""
    return isinstance(model, Enumerable) and model.enumerable_bits() <= EXACT_BITS


def samples(model: UnnormalisedDensity, num: int, base_logits: Tensor, burn_in: int) -> Tensor:
    """`num` samples of the model [num, *event.shape].

    Args:
        model: an unnormalised density.
        num: how many.
        base_logits: log odds of the independent units from which chains start [*event.shape].
        burn_in: sweeps of each chain, where samples cannot be exact.
    """
    if isinstance(model, Enumerable) and can_be_exact(model):
        return exact.samples(model, num)
    start = model.annealed(base_logits).start(num)
    return model.gibbs(start.reshape(num, *base_logits.shape), burn_in)
