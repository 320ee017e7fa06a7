"""Binary states with few ones, whose products on a CPU are sums of the rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

FEW = 1 / 6
"""Share of ones below which sums of rows take clearly less time than a product."""
WIDE = 256
"""Columns of a matrix from which on its sums of rows are worth the search for ones."""
SOME = 8
"""Number of states whose share of ones stands for that of all."""


def affine(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """b + x W [batch, H], for b [H], x [batch, D] and W [D, H]; faster where few of x are not 0, and those are 1."""
    if _is_worth_a_search(x, weight):
        bits = x.bool()
        if _is_binary(x, ones=int(np.count_nonzero(bits.numpy()))):
            return RowSums.apply(bits, weight).add_(bias)
    return torch.addmm(bias, x, weight)


def _is_worth_a_search(x: Tensor, weight: Tensor) -> bool:
    is_plain = x.device.type == "cpu" and x.dtype == weight.dtype and not x.requires_grad and len(x) > 0
    if not is_plain or weight.shape[1] < WIDE or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    return int(x[:SOME].count_nonzero()) < FEW * x[:SOME].numel()


def _is_binary(x: Tensor, ones: int) -> bool:
    """Whether the numbers that are not 0, which are `ones` many, are 1: their sum and that of their squares say so."""
    flat = x.flatten()
    return bool(flat.sum() == ones) and bool(flat.dot(flat) == ones)


class RowSums(torch.autograd.Function):
    """x W of bits x [batch, D] and W [D, H], [batch, H], and its gradient in W: the same of x' and that of x W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Adds up, for each example, the rows of W whose bits are set."""
        ctx.save_for_backward(x)
        rows, dims = x.shape
        places = np.flatnonzero(x.numpy())
        starts = places.searchsorted(np.arange(0, rows * dims, dims))
        return embedding_bag(torch.from_numpy(places % dims), weight, torch.from_numpy(starts), mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """x'g, which is differentiable in g."""
        (x,) = ctx.saved_tensors
        return None, RowSums.apply(x.t().contiguous(), gradient.contiguous())
