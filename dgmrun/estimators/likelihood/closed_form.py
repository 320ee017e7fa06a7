"""Log-likelihood of a latent variable model whose z can be integrated out analytically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import NORMALISED, in_double, log_likelihood
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Integrated
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class ClosedForm(LikelihoodMethod):
    """Mean log p(x) in closed form, in nats: the ground truth for the other likelihood methods."""

    requires: ClassVar[type] = Integrated
    is_exact: ClassVar[bool] = True

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns log p of each example, and their mean."""
        same, batch = in_double(model, evidence.batch)
        log_p = same.log_marginal(batch.x, batch.context)
        return log_p, log_likelihood(log_p, NORMALISED, evidence.population)
