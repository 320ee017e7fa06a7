r"""Fully visible sigmoid belief network: a logistic regression of each dimension on those before it.

.. math:: p(x) = \prod_d p(x_d \mid x_{<d}), \quad
          p(x_d = 1 \mid x_{<d}) = \sigma(b_d + \textstyle\sum_{j<d} W_{dj} x_j)

Each conditional has a row of parameters of its own, :math:`b_d` and :math:`W_d`, so that the likelihood is a sum of
terms that could be trained apart, and each is concave. With shared parameters, :math:`b_d = b` and
:math:`W_{dj} = w_{d-j}`: what counts is how far back a dimension lies, as in a stationary series.

References:
    Frey, Hinton and Dayan (1996), Does the wake-sleep algorithm produce good density estimators?
    Larochelle and Murray (2011), The neural autoregressive distribution estimator, which names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from dgmrun.models.nade import permutation
from dgmrun.nn.binary import marginal_logits
from dgmrun.nn.binary_layers import LinearChain
from dgmrun.nn.context import ContextVector
from dgmrun.protocols.values import Batch, Event


class FVSBN(nn.Module):
    """Logistic autoregression; evaluating log p(x) and drawing a sample cost O(D^2) each.

    Weights are 0 at the start: the likelihood is concave, so that training finds its maximum from there.

    Args:
        event: event of one example; it must be binary.
        order: order of the dimensions: null for that of the data, an integer as the seed of a random permutation, or
            the permutation as a list.
        shared: whether all conditionals share one bias, and one weight for each distance between dimensions.
        context: event of the context, if any, whose vector y shifts the biases to b + A y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> FVSBN(Event((2,), "binary")).log_prob(torch.ones(1, 2)).exp().item()
        0.25
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {"weights": ("weight W", "dimension", "dimension before it")}
    order: Tensor

    def __init__(
        self,
        event: Event,
        order: int | Sequence[int] | None = None,
        shared: bool = False,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("binary",), "an FVSBN")
        self.event, self.shared = event, shared
        self.context, self.vector = context, ContextVector(context)
        conditionals = 1 if shared else event.dims
        self.weight = nn.Parameter(torch.zeros(event.dims) if shared else torch.zeros(event.dims, event.dims))
        self.bias = nn.Parameter(torch.zeros(conditionals))
        if context is not None:
            self.told = nn.Parameter(torch.zeros(conditionals, self.vector.size))
        self.register_buffer("order", permutation(order, event.dims), persistent=False)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the biases to the logits of the smoothed means of `x`; a shared one to that of the mean over all."""
        ordered = x.reshape(len(x), -1)[:, self.order]
        self.bias.copy_(marginal_logits(ordered.reshape(-1, len(self.bias))))

    def _matrix(self) -> Tensor:
        """W [D, D] in the order of the model; only what is below the diagonal counts."""
        if not self.shared:
            return self.weight
        place = torch.arange(self.event.dims, device=self.weight.device)
        return self.weight[(place.unsqueeze(1) - place).clamp(min=0)]

    def chain(self, num: int, context: Tensor | None = None) -> LinearChain:
        """p of `num` examples [num, D] in the order of the model; its log_prob has a term for each conditional."""
        y = self.vector(context, self.weight)
        bias = self.bias if y is None else linear(y, self.told, self.bias)
        return LinearChain(bias.expand(num, self.event.dims), self._matrix())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; x may be real-valued, for gradients in x."""
        return self.chain(len(x), context).log_prob(x.reshape(len(x), -1)[:, self.order]).sum(-1)

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1 | x_<d) of each dimension, [num, *event.shape]."""
        log_odds = self.chain(len(x), context).log_odds(x.reshape(len(x), -1)[:, self.order])
        return torch.sigmoid(log_odds)[:, self.order.argsort()].reshape(x.shape)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], drawn one dimension after another."""
        return self.chain(num, context).sample()[:, self.order.argsort()].reshape(-1, *self.event.shape)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The weights in the order of the model, [D, D]."""
        return {"weights": self._matrix().tril(-1)}
