"""Log-likelihood of a tractable density: a mean over examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.density import NORMALISED, log_density, log_likelihood
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.orders import OrderEnsemble
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Exact(LikelihoodMethod):
    r""":math:`\frac{1}{N} \sum_n \log p(x_n)` in nats, whose only error is due to the finite number of examples.

    Args:
        double: whether in double precision, in which convolutions take several times as long, or in the model's own.
    """

    requires: ClassVar[type] = TractableDensity
    is_exact: ClassVar[bool] = True
    double: bool = True

    def quick(self, model: object) -> Exact:
        """Returns a version in the model's own precision."""
        return replace(self, double=False)

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns log p of each example, and their mean; of a mean over orders, diagnostics have their number."""
        log_p = log_density(model, evidence.batch, self.double).double()
        estimate = log_likelihood(log_p, NORMALISED, evidence.population)
        orders = {"orders": model.num_orders()} if isinstance(model, OrderEnsemble) else {}
        return log_p, replace(estimate, settings=asdict(self), diagnostics=estimate.diagnostics | orders)
