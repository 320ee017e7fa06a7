"""The schedule of a model that does not grow."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Grown:
    """A model that is at the resolution of the data from the first step on, as `Progressive` would say it."""

    @staticmethod
    def resolution_at(step: int) -> float:
        """Returns a resolution that none is above."""
        return math.inf

    @staticmethod
    def steps_to_grow() -> int:
        """Returns that it takes no step."""
        return 0

    @staticmethod
    def shown(x: Tensor) -> Tensor:
        """Returns examples as they are."""
        return x

    @staticmethod
    def grain(x: Tensor) -> Tensor:
        """Returns independent noise N(0, 1) for each dimension."""
        return torch.randn_like(x)
