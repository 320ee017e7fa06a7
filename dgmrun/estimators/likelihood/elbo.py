"""The evidence lower bound of a latent variable model, optionally by posteriors fitted to each example."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.local import check_model, local
from dgmrun.estimators.marginal import EXAMPLES, blocks, check_settings, lower_bound
from dgmrun.latent import draws
from dgmrun.latent.bounds import elbo
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Inference
from dgmrun.protocols.values import Batch, Estimate, Evidence


@dataclass(frozen=True)
class ELBO(LikelihoodMethod):
    """The mean of log w: the bound that training by `elbo` raises.

    Args:
        num_samples: samples of z for each example.
        local_steps: steps by which each example's own posterior is fitted, from the net's; null for none, or for 200
            where the model has no net. The gain over none is the amortisation gap of the first layer.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = Inference
    num_samples: int = 100
    local_steps: int | None = None

    def __post_init__(self) -> None:
        check_settings("elbo", self)

    def check(self, model: Inference) -> None:
        """Only a reparameterised posterior can be fitted."""
        check_model("elbo", self.local_steps, model)

    def is_automatic(self, model: object) -> bool:
        """Only where it is asked for."""
        return False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        total = torch.cat([self._bound(model, block) for block in evidence.batch.blocks(EXAMPLES)])
        return total, lower_bound(total, asdict(self))

    @torch.no_grad()
    def _bound(self, model: Any, batch: Batch) -> Tensor:
        posterior = local(model, batch, self.local_steps)
        total = batch.x.new_zeros(len(batch.x), dtype=torch.float64)
        for num in blocks(self.num_samples, len(batch.x)):
            total += elbo(model.trace(batch.x, draws.sampled(num), batch.context, posterior)).double().sum(0)
        return total / self.num_samples
