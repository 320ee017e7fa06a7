r"""Schedules of inverse temperatures from 0 to 1, for annealing along a path of distributions.

A spacing is a function :math:`\beta(u)` of equally spaced u from 0 to 1, or `adaptive`, which measures where the chains
of a path need their steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn.functional import pad

from dgmrun.estimators.annealing import anneal
from dgmrun.protocols.models import AnnealingPath

PILOT, LEAST, STAGES = 4, 10, 20
"""The pilot run of `adaptive` has a quarter of the temperatures, at least two for each stage, and of the chains."""


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


def geometric(num: int) -> Float64[Tensor, "temperatures"]:
    r"""0, then :math:`\beta` that rises by a constant factor from 1/1000 to 1: the scale of a Gaussian falls by one."""
    return torch.cat([torch.zeros(1, dtype=torch.float64), (1000 ** -linear(num - 1)).flip(0)])


SPACINGS = {spacing.__name__: spacing for spacing in (linear, quadratic, cubic, published, sigmoid, geometric)}
WORDS = (*SPACINGS, "adaptive")


def spaced(spacing: str, num: int, path: AnnealingPath, chains: int) -> Float64[Tensor, "temperatures"]:
    """`num` inverse temperatures of a spacing, given the path and the number of chains that will be annealed."""
    return adaptive(path, num, chains) if spacing == "adaptive" else SPACINGS[spacing](num)


@torch.no_grad()
def adaptive(path: AnnealingPath, num: int, chains: int) -> Float64[Tensor, "temperatures"]:
    r"""`num` inverse temperatures at constant thermodynamic speed, from a pilot run, whose draws are not used again.

    .. math:: \dot\beta \propto \zeta(\beta)^{-1/2}, \qquad \frac{d}{dt} \mathrm{var}(\log w) = \zeta \dot\beta^2

    for slow annealing with friction :math:`\zeta`, the variance of d log f / d beta times its correlation time: so that
    log w gains its variance at a constant rate, which makes it least for the number of steps. A pilot with quadratic
    spacing measures what each of 20 stages adds; a stage then gets steps in proportion to the root of that, at least of
    a hundredth of the mean. Where no stage adds anything, as between equal distributions, spacing stays quadratic.

    Source:
        Sivak and Crooks (2012), Thermodynamic metrics and optimal paths, https://arxiv.org/abs/1201.4166.
    """
    steps = max(2, num // (PILOT * STAGES))
    betas, state, added = quadratic(STAGES * steps + 1), path.start(max(LEAST, chains // PILOT)), []
    for stage in betas.unfold(0, steps + 1, steps):
        state, log_w = anneal(path, state, stage)
        added.append(log_w)
    variances = _variances(torch.stack(added))
    mean = float(variances.mean())
    if not 0 < mean < math.inf:
        return quadratic(num)
    share = variances.clamp(min=mean / 100).sqrt().numpy()
    passed = numpy.append(0, share.cumsum()) / share.sum()
    u = numpy.interp(linear(num).numpy(), passed, numpy.linspace(0, 1, STAGES + 1))
    return 1 - (1 - torch.from_numpy(u)) ** 2


def _variances(log_w: Float64[Tensor, "stages chains *rest"]) -> Float64[Tensor, "stages"]:
    """What each stage adds to var(log w), [stages]: its own variance, and its covariance with the stages beside it."""
    centred = log_w - log_w.mean(1, keepdim=True)
    own = centred.square().flatten(1).mean(1)
    shared = (centred[1:] * centred[:-1]).flatten(1).mean(1)
    found = own + pad(shared, (1, 0)) + pad(shared, (0, 1))
    return found.cpu()


def check_settings(method: str, settings: Any, least_chains: int = 2, words: Sequence[str] = WORDS) -> None:
    """Checks the number of chains and of temperatures, and the spacing.

    Args:
        method: key of the method, e.g. `log_z.ais`.
        settings: settings with `num_chains`, `num_temperatures` and `spacing`.
        least_chains: minimal number of chains.
        words: those that the spacing may be.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    for key, least in (("num_chains", least_chains), ("num_temperatures", 2)):
        if (size := getattr(settings, key)) < least:
            raise ValueError(f"`{method}.{key}` must be at least {least}, but is {size}")
    if not isinstance(settings.spacing, str) or settings.spacing not in words:
        raise ValueError(f"`{method}.spacing` must be one of {', '.join(words)}, but is {settings.spacing}")
