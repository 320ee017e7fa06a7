"""Every state of the smaller layer of binary units, in blocks, in float64: log-masses, and exact samples by them."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.protocols.models import Enumerable

BLOCK = 2**15
AUTOMATIC_BITS = 23
"""Largest smaller layer that is enumerated unasked: 2^23 states, 64 MiB of masses."""


def log_masses(model: Enumerable) -> Float64[Tensor, "states"]:
    """Unnormalised log-masses of all 2^bits states of the smaller layer; 8 bytes a state."""
    states = torch.arange(2 ** model.enumerable_bits())
    return torch.cat([model.log_masses(block) for block in states.split(BLOCK)])


def samples(model: Enumerable, num: int) -> Tensor:
    """Exact, independent samples x of the model, [num, *event.shape]: states drawn by their masses, then completed."""
    mass = log_masses(model)
    cumulative = (mass - mass.max()).exp().cumsum(0)
    level = torch.rand(num, dtype=torch.float64, device=mass.device) * cumulative[-1]
    return model.complete(torch.searchsorted(cumulative, level).clamp_(max=len(mass) - 1))
