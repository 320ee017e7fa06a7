"""What Lightning and the callbacks cost: the train stage against a bare loop around the same objective."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import perf_counter

import torch

from benchmarks._compare import Comparison
from benchmarks._stage import BATCH, Stage
from dgmrun.stages.train import fit
from dgmrun.workbench.setup import Setup


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """PCD-1, sizes as for PCD."""
    steps = 50 if quick else 2000
    stage = Stage(data, steps)
    bare = partial(bare_loop, stage.setup, steps)
    return [Comparison("PCD-1, the same objective in a bare loop", "examples/s", stage.rate, bare, ">= 0.9")]


def bare_loop(setup: Setup, steps: int) -> float:
    """Examples per second of loss, backward pass and optimiser step alone."""
    loop = bare(setup, steps, torch.device("cpu"))
    start = perf_counter()
    for _ in loop:
        pass
    return steps * BATCH / (perf_counter() - start)


def bare(setup: Setup, steps: int, device: torch.device) -> Iterator[None]:
    """Steps of the objective of a setup, one after another, on a device."""
    objective = fit.objective(setup, setup.new_model(), steps).to(device)
    source = objective.prepare(fit.in_memory(setup, device, rank=0, world_size=1))
    optimizer = objective.configure_optimizers()
    batches = (batch for _ in range(steps) for batch in source)

    def loop() -> Iterator[None]:
        for _ in range(steps):
            loss, _terms = objective.loss(next(batches))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield

    return loop()
