"""Improved recall: the share of examples that samples look like, in balls around these; see `Balls`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.neighbours import Balls
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Recall(Balls):
    """Share of examples within balls around samples: how much of the data is covered."""

    quantity: ClassVar[str] = "recall"
    is_per_example: ClassVar[bool] = True

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns 1 for each example in a ball, else 0, and their share."""
        x, y = self.drawn(model, evidence)
        return self.share(y, x, len(y), evidence)
