r"""Distillation by a weighted sum of three losses, on the same samples of the teacher.

References:
    Papamakarios (2015), Distilling model knowledge, https://arxiv.org/abs/1510.02437, chapter 4.
"""

from __future__ import annotations

from torch import Tensor, nn

from dgmrun.objectives.base import Optimization
from dgmrun.objectives.distillation.base import SquareError, cross_entropy, score_error, scores, square_error
from dgmrun.objectives.distillation.stream import StreamSettings
from dgmrun.objectives.distillation.teacher import Mixture, Teacher
from dgmrun.protocols.values import Batch


class DistillMix(SquareError):
    """The weighted sum of the cross-entropy, the square error of log-densities, and the square error of scores.

    Args:
        model: the student, a tractable density.
        optimization: optimiser settings.
        teacher: the teacher.
        stream: how the teacher is sampled.
        kl: weight of the cross-entropy.
        se: weight of the square error of log-densities.
        score: weight of the square error of scores (gradients in x), per dimension.
        offset: the constant c of the square error; see `Offset`.

    Raises:
        ValueError: a weight is negative, or all are 0.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        teacher: Teacher | Mixture,
        stream: StreamSettings,
        kl: float = 1.0,
        se: float = 1.0,
        score: float = 1.0,
        offset: float | str | None = None,
    ) -> None:
        super().__init__(model, optimization, teacher, stream, offset)
        self.weights = {"kl": kl, "se": se, "score": score}
        for key, weight in self.weights.items():
            if weight < 0 or not any(self.weights.values()):
                raise ValueError(f"`objective.{key}` must not be negative, and one weight positive, but is {weight}")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the weighted sum, and its unweighted terms."""
        x = batch.x
        log_q = self.model.log_prob(x, batch.context)  # type: ignore[operator]
        log_ratio = log_q - self.log_f(batch)
        parts = {"kl": cross_entropy(log_q), "se": square_error(log_ratio, self.offset(log_ratio))}
        if self.weights["score"]:
            parts["score"] = score_error(*scores(self.model, self.teacher, batch)) / x[0].numel()
        loss = sum(self.weights[name] * part for name, part in parts.items())
        terms = {name: part.detach() for name, part in parts.items()}
        return loss, {"offset": self.offset.c.detach().clone(), **terms}  # type: ignore[return-value]
