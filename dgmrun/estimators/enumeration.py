"""Enumeration of the states of the smaller layer of binary units, in float64: log-masses and exact samples."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.protocols.models import Enumerable

BLOCK = 2**15
AUTOMATIC_BITS = 23
"""Largest number of units of the smaller layer that is enumerated by default: 2^23 states, 64 MiB of masses."""


def log_masses(model: Enumerable) -> Float64[Tensor, "states"]:
    """Unnormalised log-masses of all 2^bits states of the smaller layer; 8 bytes per state."""
    states = torch.arange(2 ** model.enumerable_bits())
    return torch.cat([model.log_masses(block) for block in states.split(BLOCK)])


def samples(model: Enumerable, num: int) -> Tensor:
    """Draws exact, independent samples x [num, *event.shape]: states by their masses, then x given each state."""
    mass = log_masses(model)
    cumulative = (mass - mass.max()).exp().cumsum(0)
    level = torch.rand(num, dtype=torch.float64, device=mass.device) * cumulative[-1]
    return model.complete(torch.searchsorted(cumulative, level).clamp_(max=len(mass) - 1))
