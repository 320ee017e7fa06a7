"""Binary units: draws of them, and the states that a number stands for."""

from __future__ import annotations

import torch
from torch import Tensor


def bernoulli(probability: Tensor) -> Tensor:
    """Draws of binary units, several times faster than `torch.bernoulli` on a CPU."""
    return torch.rand_like(probability).lt_(probability)


def bits(index: Tensor, num: int) -> Tensor:
    """The lowest `num` binary digits of `index`, lowest first, [*index.shape, num]."""
    return (index.unsqueeze(-1) >> torch.arange(num, device=index.device)) & 1
