r"""Annealing along a path of distributions: schedules of inverse temperatures, and log-weights of chains.

.. math:: \log w = \sum_k \log f_{\beta_{k+1}}(x_k) - \log f_{\beta_k}(x_k), \qquad E[w] = Z_1 / Z_0

where :math:`x_0` is from the base and :math:`x_k` from a transition that leaves :math:`f_{\beta_k}` invariant.

References:
    Neal (2001), Annealed importance sampling, https://arxiv.org/abs/physics/9803008, equations 3 to 11.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from jaxtyping import Float64, Num
from torch import Tensor

from dgmrun.protocols.models import AnnealingPath
from dgmrun.protocols.progress import tracked

CURE = "raise `log_z.{}.num_temperatures`"
"""What helps against few effective samples of a method."""


def linear(num: int) -> Float64[Tensor, "temperatures"]:
    """`num` equally spaced inverse temperatures from 0 to 1."""
    return torch.linspace(0, 1, num, dtype=torch.float64)


def quadratic(num: int) -> Float64[Tensor, "temperatures"]:
    r""":math:`\beta = 1 - (1 - u)^2` for equally spaced u: denser towards the model, where mixing is slowest."""
    return 1 - (1 - linear(num)) ** 2


def cubic(num: int) -> Float64[Tensor, "temperatures"]:
    r""":math:`\beta = u^3` for equally spaced u: denser towards the base, for a posterior annealed from its prior.

    A power of u, as for the power posteriors of Friel and Pettitt (2008), Marginal likelihood estimation via power
    posteriors; they integrate over them, and here chains are annealed along them.
    """
    return linear(num) ** 3


def published(num: int) -> Float64[Tensor, "temperatures"]:
    """Salakhutdinov and Murray's 14,500 (500 to 0.5, 4,000 to 0.9, 10,000 to 1), or `num` in the same proportions."""
    beta = numpy.interp(14_500 * linear(num).numpy(), (0, 500, 4_500, 14_500), (0, 0.5, 0.9, 1))
    return torch.from_numpy(beta)


def sigmoid(num: int) -> Float64[Tensor, "temperatures"]:
    r""":math:`\beta`, a rescaled sigmoid of equally spaced u from -4 to 4: densest at both ends.

    Wu, Burda, Salakhutdinov and Grosse (2017), section 3.
    """
    beta = torch.sigmoid(8 * linear(num) - 4)
    return (beta - beta[0]) / (beta[-1] - beta[0])


SPACINGS = {spacing.__name__: spacing for spacing in (linear, quadratic, cubic, published, sigmoid)}


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


def check_settings(method: str, settings: Any, least_chains: int = 2) -> None:
    """Checks the number of chains and of temperatures, and the spacing.

    Args:
        method: key of the method, e.g. `log_z.ais`.
        settings: settings with `num_chains`, `num_temperatures` and `spacing`.
        least_chains: minimal number of chains.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    for key, least in (("num_chains", least_chains), ("num_temperatures", 2)):
        if (size := getattr(settings, key)) < least:
            raise ValueError(f"`{method}.{key}` must be at least {least}, but is {size}")
    if not isinstance(settings.spacing, str) or settings.spacing not in SPACINGS:
        raise ValueError(f"`{method}.spacing` must be one of {', '.join(SPACINGS)}, but is {settings.spacing}")
