"""Parameter vectors drawn from the posterior of a Bayesian model, by rejection of draws of its prior.

What was observed, and the prior, are settings here; `model=posterior` takes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake
from dgmrun.nn.bayes import LIKELIHOODS, Knowledge, knowledge, maximum
from dgmrun.protocols.values import Event

BLOCK, BLOCKS = 20_000, 1_000
"""Draws of the prior at a time, and how often for a split before it is given up."""


def load(
    data_dir: Path,
    sizes: Sequence[int],
    likelihood: str,
    inputs: Sequence[Sequence[float]],
    outcomes: Sequence[float],
    columns: int,
    scale: float,
) -> Splits:
    """Draws independent x [N, P].

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        likelihood: `logistic` or `hierarchical`.
        inputs: columns of numbers.
        outcomes: what was observed.
        columns: number of columns to use.
        scale: standard deviation of the prior; see `dgmrun.nn.bayes.knowledge`.
    """
    known = knowledge(likelihood, inputs, outcomes, columns, scale)
    return drawn("posterior", sizes, lambda size: Split(rejected(likelihood, known, size).float()))


def event(
    sizes: Sequence[int],
    likelihood: str,
    inputs: Sequence[Sequence[float]],
    outcomes: Sequence[float],
    columns: int,
    scale: float,
) -> Event:
    """Returns the event of x: P real numbers."""
    return Event(tuple(knowledge(likelihood, inputs, outcomes, columns, scale).mean.shape), "real")


def rejected(likelihood: str, known: Knowledge, size: int) -> Tensor:
    """Draws of the prior, each kept with a probability proportional to its likelihood, [size, P] float64.

    Raises:
        Mistake: too few are kept.
    """

    def log_likelihood(theta: Tensor) -> Tensor:
        return LIKELIHOODS[likelihood](theta, known.inputs, known.outcomes)

    most, kept = log_likelihood(maximum(log_likelihood, known.mean)), known.mean.new_zeros(0, len(known.mean))
    for _ in range(BLOCKS):
        theta = known.mean + known.scale * torch.randn(BLOCK, len(known.mean), dtype=torch.float64)
        is_kept = torch.rand(BLOCK, dtype=torch.float64).log() < log_likelihood(theta) - most
        kept = torch.cat([kept, theta[is_kept]])
        if len(kept) >= size:
            return kept[:size]
    raise Mistake(
        f"`dataset.sizes` must be so small that {BLOCK * BLOCKS:,} draws of the prior have enough in the posterior, "
        f"but they have {len(kept)}",
        "fewer observations, or a smaller dataset.scale",
    )
