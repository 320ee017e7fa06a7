"""Distillation by the square error between scores (gradients in x), with binary x treated as real; independent of Z.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 2.
    Hyvarinen (2005), Estimation of non-normalized statistical models by score matching.
"""

from __future__ import annotations

from torch import Tensor

from dgmrun.objectives.distillation.base import Streamed, score_error, scores
from dgmrun.protocols.values import Batch


class DistillScore(Streamed):
    """Half the mean squared distance of scores. It costs several times as much as the other losses, and much memory."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the square error of the scores, in nats^2 per unit^2 of x."""
        return score_error(*scores(self.model, self.teacher, batch)), {}
