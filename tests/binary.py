"""A small sigmoid belief network in double precision, and gradients of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dgmrun.models.sbn import SBN
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded


def sbn(hidden: Sequence[int], **settings: object) -> SBN:
    """Of x with 3 dimensions, its parameters far from 0."""
    with seeded(3, "sbn"):
        model = SBN(Event((3,), "binary"), hidden, **settings).double()  # type: ignore[arg-type]
        for parameter in model.parameters():
            parameter.data += 0.7 * torch.randn_like(parameter)
    return model


def gradient(model: SBN, value: Tensor) -> Tensor:
    """Of every parameter, in one vector."""
    parts = torch.autograd.grad(
        value, list(model.parameters()), allow_unused=True, materialize_grads=True, retain_graph=True
    )
    return torch.cat([part.flatten() for part in parts])
