"""Samples of a model: exact if it is a sampler or can be enumerated, otherwise the final states of Markov chains."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dgmrun.estimators import enumeration
from dgmrun.estimators.enumeration import AUTOMATIC_BITS
from dgmrun.protocols.models import Enumerable, Sampler, Topped, UnnormalisedDensity, context_of
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.samplers import Chain
from dgmrun.protocols.values import Batch, Event, Evidence

PIECES = 100
"""Number of times that a long walk tells how far it is."""


def can_be_exact(model: object) -> bool:
    """Returns whether `samples` draws exact, independent samples of this model."""
    part = Chain.of(model).walker
    is_small = isinstance(part, Enumerable) and part.enumerable_bits() <= AUTOMATIC_BITS
    return is_small or isinstance(model, Sampler)


def samples(model: Any, num: int, x: Tensor, burn_in: int, context: Tensor | None = None) -> Tensor:
    """Draws `num` samples of the model, [num, *event.shape].

    Args:
        model: a sampler, a Markov chain, or a model whose top layer is one.
        num: number of samples.
        x: training data. Chains start at samples of the base distribution that an unnormalised density fits to them, or
            else at random examples.
        burn_in: transitions of each chain, if samples cannot be exact.
        context: context of each sample.
    """
    if isinstance(model, Sampler):
        return model.sample(num, context)
    event, like = model.event, next(model.parameters())
    if isinstance(model, Topped):
        top, values = model.top(event.seen(x, like))
        return model.descend(samples(top, num, values, burn_in).flatten(1))[0]
    if can_be_exact(model):
        return enumeration.samples(model, num)
    if isinstance(model, UnnormalisedDensity):
        start = model.annealed(x).start(num).reshape(num, *event.shape)
    else:
        rows = x[torch.randint(len(x), (num,))]
        rows = (torch.rand(rows.shape) < rows).byte() if event.kind == "binary" else rows
        start = rows.to(like.device, event.dtype)
    state: Tensor = start
    whole, rest = divmod(burn_in, PIECES)
    for place in tracked(range(min(burn_in, PIECES))):
        state = model.walk(state, whole + (place < rest))
    return state


def scored(model: Any, evidence: Evidence, num: int) -> Tensor:
    """Draws `num` samples of a sampler in original units, given contexts of the examples, if any."""
    return evidence.original(model.sample(num, contexts(evidence.batch, num)))


def contexts(batch: Batch, num: int) -> Tensor | None:
    """Returns contexts of `num` examples, drawn without replacement, again and again if there are fewer; None if none.

    They are as the examples, of whatever order, so that shares of samples are of these.
    """
    if batch.context is None:
        return None
    places = torch.randperm(len(batch.x))[torch.arange(num) % len(batch.x)]
    return batch.context[places.to(batch.context.device)]


class Sampled(NamedTuple):
    """A model as a sampler, whatever it is sampled by; see `samples`."""

    model: Any
    x: Tensor
    burn_in: int

    @property
    def event(self) -> Event:
        """Event of one example."""
        event: Event = self.model.event
        return event

    @property
    def context(self) -> Event | None:
        """Event of the context, if any."""
        return context_of(self.model)

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Samples [num, *event.shape]."""
        return samples(self.model, num, self.x, self.burn_in, context)
