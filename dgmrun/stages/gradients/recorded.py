"""A computation as the list of primitive operations that it took once, to be made of many inputs side by side.

Of small models, most of the time of a gradient is spent by Python, by automatic differentiation and by the start of
each operation, which many gradients then share. Operations are recorded below automatic differentiation, so that a loss
may have gradients within.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call


def side_by_side(compute: Callable[..., Tensor], *example: Any) -> Callable[..., Tensor]:
    """Returns a function of stacked inputs that returns the stacked results of `compute`, whose noise is independent.

    What `compute` reads besides its inputs is read again at each call, and must not be changed by it.

    Args:
        compute: a function of nests of tensors.
        example: inputs of it, none of them stacked; those to come have the same shapes.

    Raises:
        RuntimeError: which operations it takes depends on values; or not all of them can be made side by side, which
            the function raises.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    operations = make_fx(compute)(*example)
    operations.graph.eliminate_dead_code()
    operations.recompile()
    constants = {**dict(operations.named_parameters()), **dict(operations.named_buffers())}
    functional = torch.func.functionalize(partial(functional_call, operations))
    every: Callable[..., Tensor] = torch.vmap(functional, in_dims=(None, 0), randomness="different")
    return torch.no_grad()(lambda *inputs: every(constants, inputs))
