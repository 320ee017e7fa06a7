"""Masked autoregressive flow, five layers with 100, 100 hidden units each, batches of 100, through the train stage."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import torch
from torch import Tensor
from zuko.flows import MAF

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, Stage

DIMS, LAYERS, HIDDEN = 20, 5, (100, 100)


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """On correlated Gaussians of 20 dimensions; no validations, since the peer has none."""
    steps = 50 if quick else 1000
    gaussians = ["dataset=correlated_gaussian", f"dataset.dims={DIMS}"]
    ours = Stage(gaussians, steps, model=("model=flow", "model.kind=maf", "optimizer.lr=0.001"))
    return [Comparison("MAF, zuko in a plain loop", "examples/s", ours.rate, partial(plain, ours.x, steps), ">= 1")]


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of zuko's flow in the loop of its tutorial."""
    flow = MAF(DIMS, transforms=LAYERS, hidden_features=HIDDEN)
    optimizer = torch.optim.Adam(flow.parameters(), 0.001)
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        loss = -flow().log_prob(next(data)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * BATCH / (perf_counter() - start)
