r"""Maximum likelihood for a tractable density.

.. math:: \mathcal{L} = -\frac{1}{B} \sum_b \log p(x_b)
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.base import Objective
from dgmrun.protocols.models import TractableDensity
from dgmrun.protocols.values import Batch


class MLE(Objective):
    """Maximum likelihood: the loss is the negative log-likelihood, in nats per example."""

    requires: ClassVar[type] = TractableDensity

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the negative mean log-probability of the batch."""
        return -self.model.log_prob(batch.x, batch.context).mean(), {}  # type: ignore[operator]
