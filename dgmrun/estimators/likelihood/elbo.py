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
from dgmrun.protocols.models import LatentVariableModel
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class ELBO:
    """The mean of log w: the bound that training by `elbo` raises.

    Args:
        num_samples: samples of z for each example.
        local_steps: steps by which each example's own posterior is fitted, from the net's; null for none, or for 200
            where the model has no net. The gain over none is the amortisation gap of the first layer.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = LatentVariableModel
    is_automatic: ClassVar[bool] = False
    simulates: ClassVar[int] = 0
    num_samples: int = 100
    local_steps: int | None = None

    def __post_init__(self) -> None:
        check_settings("elbo", self)

    def check(self, model: LatentVariableModel) -> None:
        """Only a reparameterised posterior can be fitted."""
        check_model("elbo", self.local_steps, model)

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        total = torch.cat([self._bound(model, block.float()) for block in x.split(EXAMPLES)])
        return total, lower_bound(total, asdict(self))

    @torch.no_grad()
    def _bound(self, model: Any, x: Tensor) -> Tensor:
        posterior = local(model, x, self.local_steps)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for num in blocks(self.num_samples, len(x)):
            total += elbo(model.trace(x, draws.sampled(num), local=posterior)).double().sum(0)
        return total / self.num_samples
