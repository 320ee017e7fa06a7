"""Binarisation: from grey levels in [0, 1] to the binary data that a Bernoulli likelihood needs.

- `fixed`: the file is binary already (Larochelle and Murray 2011).
- `threshold`: x >= 1/2.
- `dynamic`: x ~ Bernoulli(grey level), anew for every batch (Burda, Grosse and Salakhutdinov 2016).
- `none`: left as it is.

Log-likelihoods under two binarisations are figures of two datasets.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

NEEDED = {"fixed": "binary", "threshold": "unit", "dynamic": "unit", "none": None}


def binarised(event: Event, binarisation: str) -> Event:
    """What the model sees of a file that holds `event`; refuses a `binarisation` that does not suit it."""
    fitting = [name for name, kind in NEEDED.items() if kind in (None, event.kind)]
    if binarisation not in fitting:
        raise Mistake(
            f"`dataset.binarisation` must be {' or '.join(fitting)} for {event.kind} data, but is {binarisation}",
            hint=f"dataset.binarisation={fitting[0]}",
        )
    return event if binarisation == "none" else replace(event, kind="binary")


def threshold(x: Tensor) -> Tensor:
    """1 where the grey level is at least 1/2, uint8."""
    return (x >= 0.5).view(torch.uint8)


def bernoulli(x: Tensor) -> Tensor:
    """1 with the grey level as its probability, uint8 (a third of the time of `torch.bernoulli` on a CPU)."""
    return (torch.rand(x.shape, device=x.device) < x).view(torch.uint8)
