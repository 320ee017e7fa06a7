"""Variational inference for Monte Carlo objectives (VIMCO): score-function gradient of the importance-weighted bound.

References:
    Mnih and Rezende (2016), https://arxiv.org/abs/1602.06725.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dgmrun.gradients.vimco import vimco
from dgmrun.latent.bounds import iwae
from dgmrun.latent.draws import sampled
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.values import Batch


class VIMCO(Variational):
    """Maximises L_k with an unbiased gradient; the baseline of each sample is computed from the others.

    Args:
        model: a latent variable model.
        optimization: optimiser settings.
        k: number of samples of z for each example, at least 2; the cost is proportional to it.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    is_importance_weighted: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 5) -> None:
        super().__init__(model, optimization, k)
        if k < 2:
            raise ValueError(f"`objective.k` must be at least 2, but is {k}")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus L_k, in nats per example, with the gradient of the estimator."""
        trace = self.trace(batch, sampled(self.k))
        log_w = trace.log_w
        surrogate, bound = -vimco(log_w, sum(trace.log_q, log_w.new_zeros(()))), -iwae(log_w.detach()).mean()
        return surrogate + (bound - surrogate).detach(), {"bound": bound}
