"""Distillation by the Kullback-Leibler divergence from teacher to student: maximum likelihood on the teacher's samples.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 2.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.distillation.base import Streamed, cross_entropy
from dgmrun.protocols.values import Batch


class DistillKL(Streamed):
    """KL(p||q): needs samples of the teacher alone, and covers what they cover."""

    needs_density: ClassVar[bool] = False

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The cross-entropy E_p[-log q], in nats."""
        return cross_entropy(self.model.log_prob(batch.x, batch.context)), {}  # type: ignore[operator]
