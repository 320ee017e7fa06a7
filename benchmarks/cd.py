"""CD-25, which lives on how fast bits are drawn, through the whole train stage; sizes as for PCD."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks._compare import Comparison
from benchmarks._loops import contrastive
from benchmarks._stage import Stage


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Against a loop that draws with `torch.bernoulli`."""
    steps = 10 if quick else 200
    stage = Stage(data, steps, "objective=cd", "objective.k=25")
    plain = partial(contrastive, stage.x, steps, k=25, persistent=False, sample=torch.bernoulli)
    return [Comparison("CD-25, plain torch with torch.bernoulli", "examples/s", stage.rate, plain, ">= 1.6")]
