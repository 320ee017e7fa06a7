"""Models and evidence of which the features are the examples themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgmrun.protocols.features import Features
from dgmrun.protocols.values import Batch, Estimate, Event, Evidence


class Drawn:
    """A model whose samples are these, or what a function draws."""

    context = None

    def __init__(self, draw: Tensor | Callable[[int], Tensor]) -> None:
        self.draw = draw

    @property
    def event(self) -> Event:
        return Event((2,), "real")

    def sample(self, num: int, context: None = None) -> Tensor:
        return self.draw[:num] if isinstance(self.draw, Tensor) else self.draw(num)


def evidence(x: Tensor, train: Tensor | None = None) -> Evidence:
    """Examples, whose features are themselves."""
    batch = Batch(x, torch.arange(len(x)))
    return Evidence(batch, batch, train=train, features=Features(Tensor.double, {"features": "x"}))


def ends(estimate: Estimate) -> tuple[float, float]:
    """Both ends of the interval, which must be closed."""
    low, high = estimate.interval or (None, None)
    assert low is not None
    assert high is not None
    return low, high
