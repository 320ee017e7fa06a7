"""Samples of a WaveNet of 4,096 steps: by what is kept, by whole passes, and by a parallel student."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from benchmarks._compare import Comparison
from dgmrun.models import ParallelWaveNet, WaveNet
from dgmrun.nn.causal_network import packed
from dgmrun.protocols import Event

STEPS, LAYERS, BLOCKS = 4096, 10, 3


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """One sequence at once. Whole passes are timed on steps from first to last, a few of them."""
    steps, timed = (256, 4) if quick else (STEPS, 32)
    torch.manual_seed(0)
    event = Event((steps,), "real")
    wavenet = WaveNet(event, layers=LAYERS, blocks=BLOCKS).eval().requires_grad_(False)
    student = ParallelWaveNet(event, layers=LAYERS).eval().requires_grad_(False)
    cached, drawn = partial(rate, wavenet.sample, steps), partial(rate, student.sample, steps)
    return [
        Comparison("WaveNet, whole passes", "steps/s", cached, partial(whole, wavenet, steps, timed), ">= 20"),
        Comparison("parallel student, cached WaveNet", "steps/s", drawn, cached, ">= 200"),
    ]


def rate(sample: Callable[[int], Tensor], steps: int) -> float:
    """Steps per second of one sample."""
    start = perf_counter()
    sample(1)
    return steps / (perf_counter() - start)


def whole(model: WaveNet, steps: int, timed: int) -> float:
    """Steps per second by a pass through all steps so far for each step."""
    x, every = torch.randn(1, steps, 1), torch.linspace(1, steps, timed).round().long().tolist()
    start = perf_counter()
    for t in every:
        before = packed(model._before(x[:, :t]), torch.tensor([t]))
        model.conditionals(model.network(before)[-1:]).sample()
    return timed / (perf_counter() - start)
