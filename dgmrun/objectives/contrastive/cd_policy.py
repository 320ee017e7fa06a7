r"""The bound that contrastive divergence leaves out half of: the chain bound of a step x -> h -> x with tied weights.

.. math:: E_{q(h \mid x)}\big[F_v(x) - F_h(h) - \log \pi(h)\big], \qquad q(h \mid x) = p(h \mid x)

The first two terms at the samples have the gradient of CD without its last half-step. Here the samples are seen to
depend on the parameters as well, as actions depend on a policy, by the score function; and the entropy of h over the
data counts, through the prior :math:`\pi`. The bound is that of a directed chain: see `chain_bound`. Its minimum is no
maximum of the likelihood.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence.
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dgmrun.gradients.score_function import leave_one_out, score_function
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.half_step import check_others, half_step
from dgmrun.protocols.samplers import TwoLayers
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


class CDPolicy(Objective):
    """Minimises the chain bound with an unbiased gradient; the baseline of each sample is the mean of the others.

    Its prior is the other examples of the batch: a larger batch is another, lower bound.

    Args:
        model: a model of two layers.
        optimization: optimiser settings.
        num_samples: number of samples of h for each example, at least 2; the cost is in proportion.

    Raises:
        ValueError: `num_samples` is below 2.
    """

    requires: ClassVar[type] = TwoLayers
    is_mean: ClassVar[bool] = False
    """False: the prior is that of the batch."""

    def __init__(self, model: nn.Module, optimization: Optimization, num_samples: int = 2) -> None:
        super().__init__(model, optimization)
        if num_samples < 2:
            raise ValueError(f"`objective.num_samples` must be at least 2, but is {num_samples}")
        self.num_samples = num_samples

    def begin(self, data: Source) -> None:
        """Refuses a batch size of 1 per process, as the prior of an example is the others."""
        check_others(data)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the bound, with its score-function gradient; an example that is left over is its own other."""
        x = batch.x if len(batch.x) > 1 else batch.x.expand(2, *batch.x.shape[1:])
        step = half_step(self.model, x, self.num_samples)  # type: ignore[arg-type]
        bound, own = step.bound, step.log_q.diagonal(dim1=-2, dim2=-1)
        signal = bound.detach()
        weight = (signal - leave_one_out(signal)).unsqueeze(-1)
        surrogate, value = bound.mean() + score_function(weight, own.unsqueeze(-1)), signal.mean()
        return surrogate + (value - surrogate).detach(), {"chain_bound": value}
