"""Distillation by the Kullback-Leibler divergence KL(p||q): maximum likelihood on samples of the teacher p.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 2.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.distillation.base import Streamed, cross_entropy
from dgmrun.protocols.values import Batch


class DistillKL(Streamed):
    """KL(p||q): needs only samples of the teacher, not its density, and covers all of their modes."""

    needs_density: ClassVar[bool] = False

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the cross-entropy E_p[-log q], in nats."""
        return cross_entropy(self.model.log_prob(batch.x, batch.context)), {}  # type: ignore[operator]
