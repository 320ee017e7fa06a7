"""Distillation by the square error between derivatives in x, binary x treated as real: Z plays no part in it.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 2.
    Hyvarinen (2005), Estimation of non-normalized statistical models by score matching.
"""

from __future__ import annotations

from torch import Tensor

from dgmrun.objectives.distillation.base import Streamed, score_error, scores
from dgmrun.protocols.values import Batch


class DistillScore(Streamed):
    """Half the mean squared distance of derivatives in x. Costs several times what the others do, and much memory."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The error of the derivatives, in square nats."""
        return score_error(*scores(self.model, self.teacher, batch)), {}
