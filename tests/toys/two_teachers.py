"""Toy: two teachers, a student of their mixture by samples and by log-probabilities."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dgmrun.objectives.distillation.base import Streamed, cross_entropy
from dgmrun.protocols.values import Batch


class TwoTeachers(Streamed):
    """E_p[log p(x) - log q(x)] for p the mixture of the teachers: KL(p || q) itself."""

    needs_density: ClassVar[bool] = True

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """In nats."""
        log_q = self.model.log_prob(batch.x, batch.context)  # type: ignore[operator]
        return cross_entropy(log_q) + self.log_f(batch).mean(), {}
