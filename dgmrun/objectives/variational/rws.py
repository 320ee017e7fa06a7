r"""Reweighted wake-sleep (RWS).
.. math:: \mathrm{wake}_p = \sum_i \tilde w_i \nabla_\theta \log p_\theta(x, z_i), \quad
          \mathrm{wake}_q = \sum_i \tilde w_i \nabla_\phi \log q_\phi(z_i \mid x), \quad
          \mathrm{sleep}_q = E_{p(x, z)}[\nabla_\phi \log q_\phi(z \mid x)]

with samples z_i from q, and w~_i = w_i / sum_j w_j. wake_p is unbiased for the gradient of L_k in p, and its bias for
the gradient of log p(x) is O(1/k). The bias of wake_q for the gradient of -KL(p(z|x) || q(z|x)) in q is O(1/k); it is
not the gradient of L_k.

References:
    Bornschein and Bengio (2015), Reweighted wake-sleep, https://arxiv.org/abs/1406.2751, equations 8 to 12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.latent.bounds import iwae
from dgmrun.latent.draws import sampled
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.values import Batch

UPDATES = ("wake_p", "wake_q", "sleep_q")


class RWS(Variational):
    """Trains p and q on importance-weighted samples of q, and q also on samples of p (dreams).

    Args:
        model: a latent variable model.
        optimization: optimiser settings.
        k: number of samples of z for each example; the cost is proportional to it.
        updates: which of wake_p, wake_q and sleep_q are added up.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    is_importance_weighted: ClassVar[bool] = True

    def __init__(
        self, model: nn.Module, optimization: Optimization, k: int = 5, updates: Sequence[str] = UPDATES
    ) -> None:
        super().__init__(model, optimization, k)
        if not updates or any(updates.count(each) != 1 or each not in UPDATES for each in updates):
            raise ValueError(f"`objective.updates` must be some of {', '.join(UPDATES)}, but is {list(updates)}")
        self.updates = tuple(updates)
        if "sleep_q" in updates:
            self.check_dreams()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus L_k, in nats per example, with the sum of the updates as its gradient."""
        trace = self.trace(batch, sampled(self.k))
        log_w = trace.log_w.detach()
        share, bound = torch.softmax(log_w, 0), -iwae(log_w).mean()
        parts: dict[str, Callable[[], Tensor]] = {
            "wake_p": lambda: -(share * sum(trace.log_p)).sum(0).mean(),
            "wake_q": lambda: -(share * sum(trace.log_q)).sum(0).mean(),
            "sleep_q": lambda: self.sleep(batch),
        }
        every = 0 * trace.log_w.mean()  # distributed data parallel needs the gradient of all parameters
        surrogate: Tensor = sum((parts[update]() for update in self.updates), every)
        return surrogate + (bound - surrogate).detach(), {"bound": bound}
