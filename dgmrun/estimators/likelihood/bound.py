"""Log-likelihood bound that the model itself computes, as diffusion models do, averaged over several draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.marginal import EXAMPLES, lower_bound
from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Bounded
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Bound(LikelihoodMethod):
    """Lower bound on log p: minus the model's bound on -log p, averaged over draws.

    Args:
        num_samples: number of draws of the bound of each example.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Bounded
    num_samples: int = 10

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"`likelihood.bound.num_samples` must be at least 1, but is {self.num_samples}")

    def quick(self, model: object) -> Bound:
        """Returns a version with one draw."""
        return replace(self, num_samples=1)

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""
        draws = [
            torch.cat(of_blocks(lambda block: model.bound(block).double(), evidence.batch, EXAMPLES))
            for _ in range(self.num_samples)
        ]
        bounds = -torch.stack(draws).mean(0)
        return bounds, lower_bound(bounds, asdict(self))
