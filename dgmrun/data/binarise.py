"""Binarisation of grey levels in [0, 1], for Bernoulli likelihoods.

- `fixed`: the file is already binary (Larochelle and Murray 2011).
- `threshold`: x >= 1/2.
- `dynamic`: x ~ Bernoulli(grey level), redrawn for every batch (Burda, Grosse and Salakhutdinov 2016).
- `none`: the data are left as they are.

Log-likelihoods under different binarisations are not comparable.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.values import Event

NEEDED = {"fixed": "binary", "threshold": "unit", "dynamic": "unit", "none": None}


def binarised(event: Event, binarisation: str) -> Event:
    """Returns the event after binarisation; raises Mistake if `binarisation` does not suit `event`."""
    fitting = [name for name, kind in NEEDED.items() if kind in (None, event.kind)]
    if binarisation not in fitting:
        near = nearest(str(binarisation), fitting)
        raise Mistake(
            f"`dataset.binarisation` must be {' or '.join(fitting)} for {event.kind} data, but is {binarisation}{near}",
            hint=None
            if near
            else f"dataset.kind=unit dataset.binarisation={binarisation}, of grey levels from 0 to 255"
            if event.kind == "counts"
            else f"dataset.binarisation={fitting[0]}",
        )
    return event if binarisation == "none" else replace(event, kind="binary")


def threshold(x: Tensor) -> Tensor:
    """Returns 1 where the grey level is at least 1/2, else 0, uint8."""
    return (x >= 0.5).view(torch.uint8)


def bernoulli(x: Tensor) -> Tensor:
    """Draws 1 with the grey level as its probability, uint8; three times as fast as `torch.bernoulli` on a CPU."""
    return (torch.rand(x.shape, device=x.device) < x).view(torch.uint8)
