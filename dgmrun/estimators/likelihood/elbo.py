"""Evidence lower bound of a latent variable model, optionally with posteriors fitted to each example."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.local import check_model, local
from dgmrun.estimators.marginal import EXAMPLES, check_settings, lower_bound, traces
from dgmrun.estimators.shares import of_blocks
from dgmrun.latent.bounds import elbo
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Inference
from dgmrun.protocols.values import Batch, Estimate, Evidence


@dataclass(frozen=True)
class ELBO(LikelihoodMethod):
    """Evidence lower bound, the mean of log w, in nats: the objective of training by `elbo`.

    Args:
        num_samples: number of samples of z for each example.
        local_steps: optimisation steps by which the posterior of each example is fitted, starting at that of the
            encoder; null for 0, or for 200 if the model has no encoder. The improvement over 0 steps is the
            amortisation gap of the first layer.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Inference
    num_samples: int = 100
    local_steps: int | None = None

    def __post_init__(self) -> None:
        check_settings("elbo", self)

    def check(self, model: Inference) -> None:
        """Raises ValueError if `local_steps` is set, but the posterior is not reparameterised."""
        check_model("elbo", self.local_steps, model)

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""
        total = torch.cat(of_blocks(partial(self._bound, model), evidence.batch, EXAMPLES))
        return total, lower_bound(total, asdict(self))

    @torch.no_grad()
    def _bound(self, model: Any, batch: Batch) -> Tensor:
        posterior = local(model, batch, self.local_steps)
        total = batch.x.new_zeros(len(batch.x), dtype=torch.float64)
        for rows, trace in traces(model, batch, posterior, self.num_samples):
            total[rows] += elbo(trace).double().sum(0)
        return total / self.num_samples
