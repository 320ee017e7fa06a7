r"""Maximum likelihood in every order of the dimensions at once, by an unbiased estimate of the mean over orders.

.. math:: \mathcal{L} = \frac{1}{B} \sum_b \frac{D}{D - k_b} \sum_{d \notin S_b} -\log p(x_{b,d} \mid x_{b,S_b})

where :math:`k_b` is uniform on 0 to D - 1, and :math:`S_b` holds the first :math:`k_b` dimensions of a random order.
The expectation of the term of x is the mean over all D! orders o of :math:`-\log p_o(x)`: a dimension not in S is as
likely as any other to be the next one, and there are D - k of them.

References:
    Uria, Murray and Larochelle (2014), A deep and tractable density estimator, https://arxiv.org/abs/1310.1757,
    equation 10, where d is k + 1.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.objectives.base import Objective
from dgmrun.protocols.orders import Orderless
from dgmrun.protocols.values import Batch


def splits(x: Float[Tensor, "batch dims"]) -> Float[Tensor, "batch dims"]:
    """Draws the dimensions that are seen of each example, 1 where they are: a random number, from none to all but one.

    Each set of a given number is equally likely.
    """
    place, num_seen = torch.rand_like(x).argsort(1), torch.randint(x.shape[1], (len(x), 1), device=x.device)
    return (place < num_seen).to(x)


def orderless(log_p: Float[Tensor, "batch dims"], seen: Float[Tensor, "batch dims"]) -> Float[Tensor, "batch"]:
    """Unbiased estimate of the mean over orders of log p_o(x), from the conditionals given the dimensions seen."""
    unseen = 1 - seen
    return (log_p * unseen).sum(1) * log_p.shape[1] / unseen.sum(1)


class MLEOrderless(Objective):
    """Orderless maximum likelihood: the loss is the estimate, in nats per example, of one split of each example.

    It costs one pass through the network, whatever D is. Validation is on the likelihood of the orders of the model.
    """

    requires: ClassVar[type] = Orderless

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the negative mean of `orderless` of the batch."""
        seen = splits(batch.x.flatten(1))
        log_p = self.model.log_conditionals(batch.x, seen, batch.context)  # type: ignore[operator]
        return -orderless(log_p, seen).mean(), {}
