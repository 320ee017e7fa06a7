"""A MADE with 784 dimensions and 500 hidden units in batches of 100, through the whole train stage."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from benchmarks._compare import Comparison
from benchmarks._loops import batches
from benchmarks._stage import BATCH, HIDDEN, Stage


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """One mask without direct connections, and no validations, since the peer has none."""
    steps = 50 if quick else 1000
    made = ("model=made", f"model.hidden=[{HIDDEN}]", "model.direct=false", "optimizer.lr=0.001")
    ours = Stage(data, steps, model=made)
    return [Comparison("MADE, plain torch", "examples/s", ours.rate, partial(plain, ours.x, steps), ">= 1")]


def plain(x: Tensor, steps: int) -> float:
    """Examples per second of masked linear layers as one writes them in an afternoon, each mask kept."""
    dims = x.shape[1]
    place = torch.arange(dims)
    numbers = [place, torch.randint(dims - 1, (HIDDEN,)), place - 1]
    masks = [(above[:, None] >= below).float() for below, above in pairwise(numbers)]
    hidden, output = nn.Linear(dims, HIDDEN), nn.Linear(HIDDEN, dims)
    optimizer = torch.optim.Adam([*hidden.parameters(), *output.parameters()], 0.001)
    data = batches(x)
    start = perf_counter()
    for _ in range(steps):
        v = next(data)
        h = linear(v, hidden.weight * masks[0], hidden.bias).relu()
        logits = linear(h, output.weight * masks[1], output.bias)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(logits, v, reduction="none").sum(1).mean().backward()
        optimizer.step()
    return steps * BATCH / (perf_counter() - start)
