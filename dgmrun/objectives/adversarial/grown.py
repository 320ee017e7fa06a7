"""The schedule of a model that does not grow."""

from __future__ import annotations

import torch
from torch import Tensor


class Grown:
    """`Growth` with one resolution, that of the data, from the first step on."""

    def resolution_at(self, step: int) -> float:
        """Returns 0, the only resolution."""
        return 0.0

    def steps_to_grow(self) -> int:
        """Returns 0."""
        return 0

    def shown(self, x: Tensor) -> Tensor:
        """Returns examples as they are."""
        return x

    def grain(self, x: Tensor) -> Tensor:
        """Returns noise N(0, 1) in the shape of examples, independent in each dimension."""
        return torch.randn_like(x)


GROWN = Grown()
