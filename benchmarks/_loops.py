"""Contrastive divergence as one writes it in an afternoon: tensors and outer products, no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter

import torch
from torch import Tensor

from benchmarks._stage import BATCH, HIDDEN, RATE


def comparing(p: Tensor) -> Tensor:
    """Bits with probabilities `p`, the fast way on a CPU."""
    return (torch.rand_like(p) < p).float()


@torch.no_grad()
def contrastive(x: Tensor, steps: int, k: int, persistent: bool, sample: Callable[[Tensor], Tensor]) -> float:
    """Examples per second of CD-k, or of PCD-k, of an RBM on `x` [N, D], float32."""
    weight = 0.01 * torch.randn(x.shape[1], HIDDEN)
    visible_bias, hidden_bias = torch.zeros(x.shape[1]), torch.zeros(HIDDEN)
    chains = sample(torch.full((BATCH, x.shape[1]), 0.5))
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        v = next(data)
        p_data = torch.sigmoid(v @ weight + hidden_bias)
        p_model = torch.sigmoid(chains @ weight + hidden_bias) if persistent else p_data
        for _ in range(k):
            chains = sample(torch.sigmoid(sample(p_model) @ weight.t() + visible_bias))
            p_model = torch.sigmoid(chains @ weight + hidden_bias)
        weight += RATE / BATCH * (v.t() @ p_data - chains.t() @ p_model)
        visible_bias += RATE * (v - chains).mean(0)
        hidden_bias += RATE * (p_data - p_model).mean(0)
    return steps * BATCH / (perf_counter() - start)


def batches(x: Tensor) -> Iterator[Tensor]:
    """Shuffled batches without end."""
    while True:
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            yield x[order[start : start + BATCH]]
