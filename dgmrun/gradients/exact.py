r"""Expectation of the importance-weighted bound, summed over all states of the binary units, with an exact gradient.

.. math:: L_k = \sum_{z_1 \ldots z_k} \Big(\prod_i q(z_i \mid x)\Big)
          \log \frac{1}{k} \sum_i \frac{p(x, z_i)}{q(z_i \mid x)}

where L_1 is the ELBO.

References:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519,
    equation 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.latent.bounds import iwae
from dgmrun.latent.draws import Draw, given
from dgmrun.latent.trace import Trace


def bound(trace: Callable[[Draw], Trace], x: Tensor, units: Sequence[int], k: int = 1) -> Float[Tensor, " batch"]:
    """L_k of each example in nats, differentiable; a sum of 2^(k units) terms.

    Args:
        trace: returns the trace of the examples, given how to draw units.
        x: examples, [batch, ...].
        units: number of binary units of each layer.
        k: number of samples k of the bound.
    """
    bit = torch.tensor([0.0, 1.0], dtype=x.dtype if x.is_floating_point() else None, device=x.device)
    states = torch.cartesian_prod(*[bit] * sum(units)).reshape(-1, 1, sum(units))
    every = trace(given(states.expand(-1, len(x), -1).split(list(units), -1)))
    log_q: Tensor = sum(every.log_q)  # type: ignore[assignment]
    tuples = torch.cartesian_prod(*[torch.arange(len(states), device=x.device)] * k).reshape(-1, k)
    chances = log_q[tuples].sum(1).exp()
    bounds = iwae(every.log_w[tuples.t()].flatten(1)).unflatten(0, (-1, len(x)))
    return (chances * bounds).sum(0)
