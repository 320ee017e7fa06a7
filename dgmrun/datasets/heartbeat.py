"""Heartbeat: bits with a pulse in every fifth bin, whose phase is uniform.

Its entropy is log 5, 2.322 bits: a known optimum, of which independent bits are far.

References:
    Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli (2015), https://arxiv.org/abs/1503.03585, section 3.1.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake


def load(data_dir: Path, sizes: Sequence[int], bins: int, period: int) -> Splits:
    """Draws x [N, bins].

    Args:
        data_dir: unused.
        sizes: number of sequences in train, valid and test.
        bins: number of bits of a sequence.
        period: number of bins from one pulse to the next.
    """
    for key, value in (("bins", bins), ("period", period)):
        if type(value) is not int or value < 1:
            raise Mistake(f"`dataset.{key}` must be a whole number of at least 1, but is {value}")

    def draw(size: int) -> Split:
        phase = torch.randint(period, (size, 1))
        return Split((torch.arange(bins) % period == phase).to(torch.uint8))

    return drawn("heartbeat", sizes, draw)
