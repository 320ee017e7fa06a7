"""Improved precision: the share of samples that look like examples, in balls around these; see `Balls`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.neighbours import Balls
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Precision(Balls):
    """Share of samples within balls around examples: how real they are."""

    quantity: ClassVar[str] = "precision"

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns 1 for each sample in a ball, else 0, and their share."""
        x, y = self.drawn(model, evidence)
        return self.share(x, y, len(y), evidence)
