r"""Neural autoregressive distribution estimator over binary units, with logistic hidden units and tied weights.

.. math:: p(x) = \prod_d p(x_d \mid x_{<d}), \quad p(x_d = 1 \mid x_{<d}) = \sigma(b_d + V_d \cdot h_d), \quad
          h_d = \sigma(c + \textstyle\sum_{i<d} x_i W_i)

References:
    Larochelle and Murray (2011), The neural autoregressive distribution estimator, equations 6 to 9 and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from dgmrun.nn.autoregression import advance, changing, products
from dgmrun.nn.binary import bernoulli, marginal_logits
from dgmrun.nn.context import ContextVector
from dgmrun.protocols.values import Batch, Event
from dgmrun.rng import seeded

SAMPLED = 1000
"""Number of samples that are drawn together."""


class NADE(nn.Module):
    """A Bernoulli NADE: evaluating log p(x) and drawing a sample cost O(D H) each.

    Args:
        event: event of one example; it must be binary.
        hidden: number of hidden units H.
        order: order of the dimensions: null for that of the data, an integer as the seed of a random permutation, or
            the permutation as a list.
        context: event of the context, if any, whose vector y shifts the biases to b + A y and c + B y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> nade = NADE(Event((1, 2, 2), "binary"), hidden=3)
        >>> nade.log_prob(nade.sample(5)).shape
        torch.Size([5])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "filters": ("weight W", "hidden unit", "dimension"),
        "output_filters": ("weight V", "hidden unit", "dimension"),
    }
    order: Tensor

    def __init__(
        self,
        event: Event,
        hidden: int = 500,
        order: int | Sequence[int] | None = None,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("binary",), "a NADE")
        if hidden < 1:
            raise ValueError(f"`model.hidden` must be at least 1, but is {hidden}")
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.weight = nn.Parameter(torch.randn(event.dims, hidden) / math.sqrt(event.dims))
        self.output_weight = nn.Parameter(torch.randn(event.dims, hidden) / math.sqrt(hidden + 1))
        self.visible_bias = nn.Parameter(torch.zeros(event.dims))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        if context is not None:
            self.visible_told = nn.Parameter(torch.zeros(event.dims, self.vector.size))
            self.hidden_told = nn.Parameter(torch.randn(hidden, self.vector.size) / math.sqrt(self.vector.size))
        self.register_buffer("order", permutation(order, event.dims), persistent=False)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the visible biases to the logits of the smoothed means of `x`."""
        self.visible_bias.copy_(marginal_logits(x)[self.order])

    def biases(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The biases b [D] and c [H], or, given contexts, b [batch, D] and c [batch, H]."""
        y = self.vector(context, self.weight)
        if y is None:
            return self.visible_bias, self.hidden_bias
        return linear(y, self.visible_told, self.visible_bias), linear(y, self.hidden_told, self.hidden_bias)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; x may be real-valued, for gradients in x."""
        ordered = x.reshape(len(x), -1)[:, self.order]
        logits = self._logits(ordered, context)
        return (ordered * logits - softplus(logits)).sum(-1)

    def _logits(self, ordered: Tensor, context: Tensor | None) -> Tensor:
        visible_bias, hidden_bias = self.biases(context)
        return products(ordered, self.weight, self.output_weight, hidden_bias) + visible_bias

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1 | x_<d) of each dimension, [num, *event.shape]."""
        logits = self._logits(x.reshape(len(x), -1)[:, self.order], context)
        return torch.sigmoid(logits)[:, self.order.argsort()].reshape(x.shape)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], drawn one dimension after another."""
        visible_bias, hidden_bias = (bias.expand(num, -1) for bias in self.biases(context))
        x = torch.cat(
            [
                self._sample(*biases)
                for biases in zip(visible_bias.split(SAMPLED), hidden_bias.split(SAMPLED), strict=True)
            ]
        )
        return x[:, self.order.argsort()].reshape(-1, *self.event.shape)

    def _sample(self, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
        a = hidden_bias.clone()
        h, x = torch.sigmoid(a), a.new_empty(visible_bias.shape[1], len(a))
        for d, (w, v, bias) in enumerate(zip(self.weight, self.output_weight, visible_bias.t(), strict=True)):
            x[d] = bernoulli(torch.sigmoid(torch.addmv(bias, h, v)))
            (change,) = changing(x[d : d + 1])
            advance(a, h, x[d], w, change)
        return x.t()

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Input and output weights of each hidden unit, [H, *event.shape]."""
        place = self.order.argsort()
        weights = {"filters": self.weight, "output_filters": self.output_weight}
        return {name: weight[place].t().reshape(-1, *self.event.shape) for name, weight in weights.items()}


def permutation(order: int | Sequence[int] | None, dims: int) -> Tensor:
    """Returns the permutation of `dims` dimensions that the setting `model.order` specifies.

    Raises:
        ValueError: `order` is not valid.
    """
    if order is None:
        return torch.arange(dims)
    if type(order) is int:
        with seeded(order, "order"):
            return torch.randperm(dims)
    listed = order if isinstance(order, Sequence) and all(type(place) is int for place in order) else []
    if sorted(listed) != list(range(dims)):
        raise ValueError(f"`model.order` must be null, a seed, or each of 0 to {dims - 1} once, but is {order}")
    return torch.tensor(listed)
