"""Variational inference for Monte Carlo objectives: the importance-weighted bound by the score function.

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
    """An unbiased gradient of L_k, each sample's baseline made of the others.

    Args:
        model: a latent variable model.
        optimization: how parameters follow the gradient.
        k: samples of z for each example, at least 2; cost grows in proportion.

    Raises:
        ValueError: names the key.
    """

    is_importance_weighted: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 5) -> None:
        super().__init__(model, optimization, k)
        if k < 2:
            raise ValueError(f"`objective.k` must be at least 2, but is {k}")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus L_k, in nats per example, with the gradient of the estimator."""
        trace = self.trace(batch, sampled(self.k))
        log_w = trace.log_w
        surrogate, bound = -vimco(log_w, sum(trace.log_q, log_w.new_zeros(()))), -iwae(log_w.detach()).mean()
        return surrogate + (bound - surrogate).detach(), {"bound": bound}
