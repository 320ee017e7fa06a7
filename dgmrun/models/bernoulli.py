r"""Independent binary units: a coin for each dimension, whose optimum is known in closed form.

.. math:: p(x) = \prod_d p_d^{x_d} (1 - p_d)^{1 - x_d}, \quad p_d = \sigma(a_d)

Its likelihood is greatest where every :math:`p_d` is the frequency of ones in the data, so that whatever depends on the
other dimensions is lost: the smallest model of binary data, and what others are to be better than.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from dgmrun.nn.binary import bernoulli
from dgmrun.nn.context import ContextVector
from dgmrun.protocols.values import Event


class Bernoulli(nn.Module):
    """Independent binary units, all with probability 1/2 at the start.

    Args:
        event: event of one example; it must be binary.
        context: event of the context, if any, whose vector y shifts the logits to a + A y; for labels A is a table.

    Raises:
        ValueError: the event is not binary; the message names its key.

    Example:
        >>> Bernoulli(Event((2,), "binary")).log_prob(torch.ones(1, 2)).exp().item()
        0.25
    """

    def __init__(self, event: Event, context: Event | None = None) -> None:
        super().__init__()
        event.require(("binary",), "a Bernoulli model")
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.logits = nn.Parameter(torch.zeros(event.dims))
        if context is not None:
            self.told = nn.Parameter(torch.zeros(event.dims, self.vector.size))

    def _logits(self, context: Tensor | None) -> Tensor:
        """Logits a [D], or, given contexts, a + A y [batch, D]."""
        y = self.vector(context, self.logits)
        return self.logits if y is None else linear(y, self.told, self.logits)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; x may be real-valued, for gradients in x."""
        logits = self._logits(context)
        return (x.reshape(len(x), -1) * logits - softplus(logits)).sum(-1)

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1) of each dimension, [num, *event.shape]."""
        return torch.sigmoid(self._logits(context)).expand(len(x), -1).reshape(x.shape)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        return bernoulli(torch.sigmoid(self._logits(context)).expand(num, -1)).reshape(-1, *self.event.shape)
