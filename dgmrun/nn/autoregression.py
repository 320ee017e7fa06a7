r"""Computational kernel of neural autoregressive distribution estimators.

.. math:: V_d \cdot h_d, \quad h_d = \sigma(c + \textstyle\sum_{i<d} x_i W_i)

References:
    Larochelle and Murray (2011), The neural autoregressive distribution estimator, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED = 200_000
"""Number of activations that fit into the cache of one core."""
STEP = 8192
"""Number of activations of a dimension from which a CPU takes dimensions one by one: calls then cost little."""
FEW = 4
"""Examples whose hidden units change are updated alone if they are at most one in FEW."""
Change = tuple[Tensor, Tensor]
"""Examples whose input of a dimension is not 0, and these inputs."""


def products(x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> Tensor:
    """V_d . h_d of every dimension, [batch, D].

    Args:
        x: inputs, [batch, D].
        weight: W, [D, H].
        output_weight: V, [D, H].
        hidden_bias: c, [H], or one for each example, [batch, H].
    """
    # Only gradients in x need stored activations; gradients in the parameters recompute them.
    product = hidden_products if x.requires_grad else Recomputed.apply
    with torch.autocast(x.device.type, enabled=False):
        found, _ = product(x.to(weight.dtype), weight, output_weight, hidden_bias.to(weight.dtype))
    return found


def hidden_products(x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> tuple[Tensor, Tensor]:
    """`products` and c + sum_i x_i W_i [batch, H], computed block by block."""
    a, found = hidden_bias.expand(len(x), -1), []
    for block in blocks(x, weight):
        _, h = activations(a, x[:, block], weight[block])
        found.append((h * output_weight[block]).sum(-1))
        a = torch.addmm(a, x[:, block], weight[block])
    return torch.cat(found, 1), a


class Recomputed(torch.autograd.Function):
    """`hidden_products` without stored activations: the backward pass recomputes them.

    It proceeds block by block, or on a CPU by single dimensions if these are large.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> tuple[Tensor, ...]:
        """Returns the products and the last sum [batch, H]; saves the latter with x and the parameters."""
        forward = products_by_step if _is_large(x, weight) else hidden_products
        products, a = forward(x, weight, output_weight, hidden_bias)
        ctx.save_for_backward(x, weight, output_weight, a)
        ctx.shape = hidden_bias.shape
        ctx.mark_non_differentiable(a)
        return products, a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """See `parameter_gradients`."""
        x, weight, *_ = ctx.saved_tensors
        backward = gradients_by_step if _is_large(x, weight) else parameter_gradients
        with torch.autocast(gradient.device.type, enabled=False):
            *of_weights, of_bias = backward(gradient, *ctx.saved_tensors)
            return None, *of_weights, of_bias.sum_to_size(ctx.shape)


def parameter_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, output_weight: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the weight, the output weight and each example's hidden bias, given that of the products [batch, D].

    Blocks run from last to first; `carried` [batch, H] accumulates the gradient of the sums from later blocks.
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
    return of_weight, of_output, carried


def _is_large(x: Tensor, weight: Tensor) -> bool:
    return x.device.type == "cpu" and len(x) * weight.shape[1] >= STEP


def products_by_step(x: Tensor, weight: Tensor, output_weight: Tensor, hidden_bias: Tensor) -> tuple[Tensor, Tensor]:
    """`hidden_products`, one dimension after another."""
    a = hidden_bias.expand(len(x), -1).clone()
    x = x.t().contiguous()
    h, found = torch.sigmoid(a), torch.empty_like(x)
    for x_d, change, w, v, product in zip(x, changing(x), weight, output_weight, found, strict=True):
        torch.mv(h, v, out=product)
        advance(a, h, x_d, w, change)
    return found.t(), a


def gradients_by_step(
    gradient: Tensor, x: Tensor, weight: Tensor, output_weight: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`parameter_gradients`, one dimension after another, from last to first."""
    of_weight, of_output = torch.empty_like(weight), torch.empty_like(output_weight)
    a, carried, slope = a.clone(), torch.zeros_like(a), torch.empty_like(a)
    h, x, gradient = torch.sigmoid(a), x.t().contiguous(), gradient.t().contiguous()
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    of_dimensions = zip(x, changing(x), gradient, weight, output_weight, of_weight, of_output, strict=True)
    for x_d, change, g, w, v, of_w, of_v in reversed(list(of_dimensions)):
        torch.mv(carried.t(), x_d, out=of_w)
        advance(a, h, x_d, w, change, -1)
        torch.mv(h.t(), g, out=of_v)
        carried.addcmul_(sigmoid_backward(v.expand_as(h), h, grad_input=slope), g.unsqueeze(1))
    return of_weight, of_output, carried


def changing(x: Tensor) -> list[Change | None]:
    """The change by each dimension of `x` [D, batch], or None where that is many, or the device not a CPU."""
    if x.device.type != "cpu":
        return [None] * len(x)
    dimension, example = x.nonzero(as_tuple=True)
    counts = dimension.bincount(minlength=len(x)).tolist()
    changes = zip(example.split(counts), x[dimension, example].split(counts), strict=True)
    return [(on, x_on) if FEW * len(on) <= x.shape[1] else None for on, x_on in changes]


def advance(a: Tensor, h: Tensor, x: Tensor, w: Tensor, change: Change | None, sign: int = 1) -> None:
    """Adds an input x [batch], with weights w [H], to the sums a [batch, H], and updates h = sigmoid(a), in place.

    If its change is given, only the examples that it names are touched.
    """
    if change is None:
        torch.sigmoid(a.addr_(x, w, alpha=sign), out=h)
        return
    on, x_on = change
    some = a.index_select(0, on).addr_(x_on, w, alpha=sign)
    a.index_copy_(0, on, some)
    h.index_copy_(0, on, some.sigmoid_())


def blocks(x: Tensor, weight: Tensor) -> Iterator[slice]:
    """Slices of dimensions such that the activations of one fit into the cache and are at most a tenth of all."""
    dims, hidden = weight.shape
    size = max(1, min(CACHED // (len(x) * hidden), dims // 10))
    return (slice(first, first + size) for first in range(0, dims, size))


def activations(a: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden units of the k dimensions of a block [batch, k, H], given the sum `a` [batch, H] over earlier blocks.

    A product with `before` [batch, k, k], which is x below the diagonal, adds the contributions within the block. Both
    are returned, `before` first.
    """
    before = x.unsqueeze(1).expand(-1, x.shape[1], -1).tril(-1)
    return before, torch.baddbmm(a.unsqueeze(1), before, weight.expand(len(x), -1, -1)).sigmoid_()
