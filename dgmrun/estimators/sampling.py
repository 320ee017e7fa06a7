"""Samples of a model: exact ones where it samples itself or can be enumerated, else the ends of long chains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.estimators.enumeration import AUTOMATIC_BITS
from dgmrun.protocols.models import Enumerable, Sampler, UnnormalisedDensity


def can_be_exact(model: object) -> bool:
    """Whether `samples` gives exact, independent samples of this model."""
    is_small = isinstance(model, Enumerable) and model.enumerable_bits() <= AUTOMATIC_BITS
    return is_small or isinstance(model, Sampler)


def samples(model: Any, num: int, x: Tensor, burn_in: int, context: Tensor | None = None) -> Tensor:
    """`num` samples of the model [num, *event.shape].

    Args:
        model: a sampler or a Markov chain.
        num: how many.
        x: training data, of which chains start: at the base that an unnormalised density fits to them, or at some.
        burn_in: steps of each chain, where samples cannot be exact.
        context: what each of them is conditioned on.
    """
    if isinstance(model, Sampler):
        return model.sample(num, context)
    if can_be_exact(model):
        return enumeration.samples(model, num)
    event, like = model.event, next(model.parameters())
    if isinstance(model, UnnormalisedDensity):
        start = model.annealed(x).start(num).reshape(num, *event.shape)
    else:
        start = x[torch.randint(len(x), (num,))].to(like.device, event.dtype)
    walked: Tensor = model.walk(start, burn_in)
    return walked
