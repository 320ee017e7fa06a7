r"""Annealing along a path of distributions: log-weights of chains.

.. math:: \log w = \sum_k \log f_{\beta_{k+1}}(x_k) - \log f_{\beta_k}(x_k), \qquad E[w] = Z_1 / Z_0

where :math:`x_0` is from the base and :math:`x_k` from a transition that leaves :math:`f_{\beta_k}` invariant.

References:
    Neal (2001), Annealed importance sampling, https://arxiv.org/abs/physics/9803008, equations 3 to 11.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from dgmrun.protocols.models import AnnealingPath
from dgmrun.protocols.progress import tracked

CURE = "raise `log_z.{}.num_temperatures`"
"""What helps against few effective samples of a method."""

CHAINS = 2000
"""Number of chains that move together."""
SHARE, LEAST, PILOT_CHAINS = 10, 100, 4
"""Step sizes are tuned at one in SHARE temperatures, but at no fewer than LEAST, by PILOT_CHAINS chains."""


def together(num_chains: int) -> int:
    """Number of examples whose chains move together."""
    return max(1, CHAINS // num_chains)


def tuned(path: Any, betas: Float64[Tensor, "temperatures"]) -> AnnealingPath:
    """Returns a path to a posterior with step sizes tuned in a preliminary run along some of `betas`."""
    places = torch.linspace(0, len(betas) - 1, max(LEAST, len(betas) // SHARE)).long()
    ready: AnnealingPath = path.tuned(betas[places], PILOT_CHAINS)
    return ready


@torch.no_grad()
def anneal(
    path: AnnealingPath, state: Num[Tensor, "*chains units"], betas: Float64[Tensor, "temperatures"]
) -> tuple[Tensor, Float64[Tensor, "*chains"]]:
    """Anneals chains from `state` along `path` at `betas`; returns their final states and log-weights, in float64."""
    log_w = torch.zeros(state.shape[:-1], dtype=torch.float64, device=state.device)
    steps = betas.to(state.device, state.dtype if state.is_floating_point() else torch.get_default_dtype())
    for step in tracked(range(len(steps) - 1)):
        beta, next_beta = steps[step : step + 2]
        state, increment = path.move(state, beta, next_beta)
        log_w += increment
    return state, log_w
