"""The bound that a model itself has on its log-probabilities, as diffusion models have, of more than one draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.marginal import EXAMPLES, lower_bound
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Bounded
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Bound(LikelihoodMethod):
    """The mean over draws of minus the model's bound on -log p.

    Args:
        num_samples: draws of the bound of each example.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = Bounded
    num_samples: int = 10

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"`likelihood.bound.num_samples` must be at least 1, but is {self.num_samples}")

    def quick(self, model: object) -> Bound:
        """By one draw."""
        return replace(self, num_samples=1)

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        draws = [
            torch.cat([model.bound(block).double() for block in evidence.batch.blocks(EXAMPLES)])
            for _ in range(self.num_samples)
        ]
        bounds = -torch.stack(draws).mean(0)
        return bounds, lower_bound(bounds, asdict(self))
