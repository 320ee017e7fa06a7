"""Distillation by the square error between log-densities.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 2.
"""

from __future__ import annotations

from torch import Tensor

from dgmrun.objectives.distillation.base import SquareError, cross_entropy, square_error
from dgmrun.protocols.values import Batch


class DistillSE(SquareError):
    """Half the mean square of log q - log f + c at samples of the teacher, in nats^2."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the square error; logs c and the cross-entropy E_p[-log q], both in nats."""
        log_q = self.model.log_prob(batch.x, batch.context)  # type: ignore[operator]
        log_ratio = log_q - self.log_f(batch)
        loss = square_error(log_ratio, self.offset(log_ratio))
        return loss, {"offset": self.offset.c.detach().clone(), "cross_entropy": cross_entropy(log_q.detach())}
