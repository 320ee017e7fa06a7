r"""The scale s of the noise with which a generator explains data best, from one annealing.

Along the path to the posterior at the smallest scale, :math:`s_0`, the posteriors at all larger ones are passed:

.. math:: \log p_s(x) = \log Z_\beta + \frac{D}{2} \left(\beta \log 2 \pi s_0^2 - \log 2 \pi s^2\right), \qquad
          Z_\beta = E_z\left[N(x;\, g(z), s_0^2 I)^\beta\right], \qquad \beta = s_0^2 / s^2

References:
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273: the scale is chosen by validation; here at all scales at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.annealing import anneal
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.models import AnnealingPath
from dgmrun.protocols.progress import tracked

FROM = 4
"""How many times the largest scale that is tried is the one at which annealing begins."""


def scales_to(scales: Sequence[float], num: int) -> Float64[Tensor, "scales"]:
    """`num` scales that fall by a constant factor, from FROM times the largest that is tried to the smallest."""
    low, high = scales
    return torch.linspace(math.log(FROM * high), math.log(low), num, dtype=torch.float64).exp()


@torch.no_grad()
def log_p_at(
    path: AnnealingPath, num_chains: int, scales: Float64[Tensor, "scales"], dims: int
) -> Float64[Tensor, "scales batch"]:
    """Lower bounds, in the mean, on log p of each example at falling scales, in nats.

    Args:
        path: path to the posterior at the last scale.
        num_chains: number of chains of each example.
        scales: scales of the noise, of which the last is the smallest.
        dims: number of dimensions of x, D.
    """
    betas = torch.cat([scales.new_zeros(1), (scales[-1] / scales) ** 2])
    state, log_w, log_z = path.start(num_chains), torch.zeros((), dtype=torch.float64), []
    for pair in tracked(betas.unfold(0, 2, 1).unbind()):
        state, increment = anneal(path, state, pair)
        log_w = log_w.to(increment.device) + increment
        log_z.append(iwae(log_w))
    log_normaliser = (2 * math.pi * scales**2).log()
    return torch.stack(log_z) + (dims / 2 * (betas[1:] * log_normaliser[-1] - log_normaliser))[:, None].to(log_w)
