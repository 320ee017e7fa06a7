r"""Neural autoregressive distribution estimator over binary units, with logistic hidden units and tied weights.

.. math:: p(x) = \prod_d p(x_d \mid x_{<d}), \quad p(x_d = 1 \mid x_{<d}) = \sigma(b_d + V_d \cdot h_d), \quad
          h_d = \sigma(c + \textstyle\sum_{i<d} x_i W_i)

References:
    Larochelle and Murray (2011), The neural autoregressive distribution estimator, equations 6 to 9 and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from dgmrun.nn.binary import bernoulli
from dgmrun.protocols import Event
from dgmrun.rng import seeded

CACHED = 200_000
"""Activations of a block that stay in the cache of one core."""
SAMPLED = 1000
"""Samples that are drawn together."""


class NADE(nn.Module):
    """A Bernoulli NADE: log p(x) costs O(D H), and so does a sample.

    Args:
        event: what one example is; its support must be binary.
        hidden: number of hidden units H.
        order: in which order the dimensions are taken: null for that of the data, a whole number for the random
            permutation with this seed, or a list, the permutation itself.

    Raises:
        ValueError: names the key.

    Example:
        >>> nade = NADE(Event((1, 2, 2), "binary"), hidden=3)
        >>> nade.log_prob(nade.sample(5)).shape
        torch.Size([5])
    """

    order: Tensor

    def __init__(self, event: Event, hidden: int = 500, order: int | Sequence[int] | None = None) -> None:
        super().__init__()
        if event.support != "binary":
            raise ValueError(f"`dataset.event.support` must be binary for a NADE, but is {event.support}")
        if hidden < 1:
            raise ValueError(f"`model.hidden` must be at least 1, but is {hidden}")
        self.event = event
        self.weight = nn.Parameter(torch.randn(event.dims, hidden) / math.sqrt(event.dims))
        self.output_weight = nn.Parameter(torch.randn(event.dims, hidden) / math.sqrt(hidden + 1))
        self.visible_bias = nn.Parameter(torch.zeros(event.dims))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("order", permutation(order, event.dims), persistent=False)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the visible biases to the log odds of the smoothed means of `x`."""
        self.visible_bias.copy_(torch.logit((x.flatten(1).sum(0) + 0.5) / (len(x) + 1))[self.order])

    def logits(self, x: Tensor) -> Tensor:
        """Log odds of each dimension given those before it, both in the model's order, [batch, D]."""
        # Only derivatives in x need the activations kept; those in the parameters recompute them.
        product = hidden_products if x.requires_grad else Recomputed.apply
        with torch.autocast(x.device.type, enabled=False):
            products, _ = product(x, self.weight, self.output_weight, self.hidden_bias)
        return products + self.visible_bias

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """log p(x) in nats, [batch]; x may be real, as where its derivative is asked for."""
        ordered = x.flatten(1)[:, self.order]
        logits = self.logits(ordered)
        return (ordered * logits - softplus(logits)).sum(-1)

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples [num, *event.shape], one dimension after another."""
        x = torch.cat([self._sample(min(SAMPLED, num - done)) for done in range(0, num, SAMPLED)])
        return x[:, self.order.argsort()].reshape(-1, *self.event.shape)

    def _sample(self, num: int) -> Tensor:
        a = self.hidden_bias.repeat(num, 1)
        x = a.new_empty(len(self.visible_bias), num)
        for d, (w, v, bias) in enumerate(zip(self.weight, self.output_weight, self.visible_bias, strict=True)):
            x[d] = bernoulli(torch.sigmoid(bias + torch.sigmoid(a) @ v))
            a.addr_(x[d], w)
        return x.t()

    @torch.no_grad()
    def pictures(self, x: Tensor) -> dict[str, Tensor]:
        """What each hidden unit reads and what it writes, [H, *event.shape]."""
        place = self.order.argsort()
        weights = {"filters": self.weight, "output_filters": self.output_weight}
        return {name: weight[place].t().reshape(-1, *self.event.shape) for name, weight in weights.items()}


def permutation(order: int | Sequence[int] | None, dims: int) -> Tensor:
    """The order of `dims` dimensions that `model.order` means.

    Raises:
        ValueError: it is none.
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


def hidden_products(x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> tuple[Tensor, Tensor]:
    """V_d . h_d of every dimension [batch, D], and c + sum_i x_i W_i [batch, H], block by block."""
    a, products = hidden_bias.expand(len(x), -1), []
    for block in blocks(x, weight):
        _, h = activations(a, x[:, block], weight[block])
        products.append((h * output_weight[block]).sum(-1))
        a = torch.addmm(a, x[:, block], weight[block])
    return torch.cat(products, 1), a


class Recomputed(torch.autograd.Function):
    """`hidden_products` that keeps no activation: backwards it computes those of each block again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> tuple[Tensor, ...]:
        """Saves the parameters, x and the last sum [batch, H]."""
        products, a = hidden_products(x, weight, output_weight, hidden_bias)
        ctx.save_for_backward(x, weight, output_weight, a)
        ctx.mark_non_differentiable(a)
        return products, a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """See `parameter_gradients`."""
        with torch.autocast(gradient.device.type, enabled=False):
            return None, *parameter_gradients(gradient, *ctx.saved_tensors)


def parameter_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, output_weight: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of weight, output weight and hidden bias, given that of the products [batch, D].

    From the last block to the first; `carried` [batch, H] is the gradient that later blocks send to the sums.
    """
    of_weight, of_output = torch.empty_like(weight), torch.empty_like(output_weight)
    carried = torch.zeros_like(a)
    for block in reversed(list(blocks(x, weight))):
        v, w, g = x[:, block], weight[block], gradient[:, block]
        a = torch.addmm(a, v, w, alpha=-1)
        before, h = activations(a, v, w)
        of_output[block] = torch.einsum("bk,bkh->kh", g, h)
        slope = torch.ops.aten.sigmoid_backward(output_weight[block].expand_as(h), h)
        weighted = (before * g.unsqueeze(-1)).flatten(0, 1)
        of_weight[block] = torch.addmm(v.t() @ carried, weighted.t(), slope.flatten(0, 1))
        carried.unsqueeze(1).baddbmm_(g.unsqueeze(1), slope)
    return of_weight, of_output, carried.sum(0)


def blocks(x: Tensor, weight: Tensor) -> Iterator[slice]:
    """Slices of dimensions, so small that the activations of one stay in cache and below a tenth of all."""
    dims, hidden = weight.shape
    size = max(1, min(CACHED // (len(x) * hidden), dims // 10))
    return (slice(first, first + size) for first in range(0, dims, size))


def activations(a: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden units of the k dimensions of a block [batch, k, H], given the sum `a` [batch, H] over those before it.

    One product with `before` [batch, k, k], the block's x below the diagonal, adds what comes within the block.
    """
    before = x.unsqueeze(1).expand(-1, x.shape[1], -1).tril(-1)
    return before, torch.baddbmm(a.unsqueeze(1), before, weight.expand(len(x), -1, -1)).sigmoid_()
