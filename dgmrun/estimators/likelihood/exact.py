"""Likelihood of a density whose values are known: no estimate, but a mean over examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import NORMALISED, log_density, log_likelihood
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class Exact:
    r""":math:`\frac{1}{N} \sum_n \log p(x_n)` in nats; its only error is that of so many examples."""

    requires: ClassVar[type] = TractableDensity
    is_automatic: ClassVar[bool] = True
    simulates: ClassVar[int] = 0

    def check(self, model: TractableDensity) -> None:
        """Any model will do."""

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """log p of each example, and their mean."""
        log_p = log_density(model, x)
        return log_p, log_likelihood(log_p, NORMALISED)
