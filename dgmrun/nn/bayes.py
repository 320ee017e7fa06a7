r"""What is known of a parameter vector: a Gaussian prior, and the likelihood of fixed observations.

.. math:: \log f(\theta) = \log p(D \mid \theta) + \log N(\theta; m, \mathrm{diag}(s^2))

References:
    Dalal, Fowlkes and Hoadley (1989), Risk analysis of the space shuttle.
    Rubin (1981), Estimation in parallel randomized experiments.
    Papaspiliopoulos, Roberts and Skold (2007), A general framework for the parametrization of hierarchical models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class Knowledge(NamedTuple):
    """Observations and a prior, in float64.

    Args:
        inputs: what is known of each observation, [N, K].
        outcomes: what was observed, [N].
        mean: means m of the prior, [P].
        scale: standard deviations s of the prior, [P].
    """

    inputs: Tensor
    outcomes: Tensor
    mean: Tensor
    scale: Tensor


def logistic(theta: Tensor, inputs: Tensor, outcomes: Tensor) -> Tensor:
    r""":math:`\sum_n \log \sigma((2 y_n - 1) \theta^\top x_n)`, [...], for coefficients `theta` [..., K]."""
    return logsigmoid((theta @ inputs.t()) * (2 * outcomes - 1)).sum(-1)


def hierarchical(theta: Tensor, inputs: Tensor, outcomes: Tensor) -> Tensor:
    r""":math:`\sum_n \log N(y_n; \mu + \tau \eta_n, \sigma_n^2)`, [...].

    `theta` [..., 2 + N] has the common mean, the logarithm of the spread, and the standardised effect of each group.
    """
    effects, error = theta[..., :1] + theta[..., 1:2].exp() * theta[..., 2:], inputs[:, 0]
    log_scale = error.log().sum() + len(error) * math.log(2 * math.pi) / 2
    return -((outcomes - effects) / error).square().sum(-1) / 2 - log_scale


LIKELIHOODS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    likelihood.__name__: likelihood for likelihood in (logistic, hierarchical)
}


def knowledge(
    likelihood: str, inputs: Sequence[Sequence[float]], outcomes: Sequence[float], columns: int, scale: float
) -> Knowledge:
    """Makes tensors of settings.

    Args:
        likelihood: `logistic` or `hierarchical`.
        inputs: columns of N numbers each: regressors, which are standardised; or the standard error of each outcome.
        outcomes: N bits; or the effect that was measured in each group.
        columns: number of columns to use, the first ones; a logistic regression adds a constant.
        scale: standard deviation of the prior of each coefficient; or of the common mean, and the median of the spread,
            whose logarithm has a standard deviation of 1.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"`dataset.likelihood` must be one of {', '.join(LIKELIHOODS)}, but is {likelihood}")
    if not 0 < scale < math.inf:
        raise ValueError(f"`dataset.scale` must be positive, but is {scale}")
    lengths = {len(column) for column in inputs} | {len(outcomes)}
    if len(lengths) > 1 or not outcomes:
        raise ValueError(f"`dataset.inputs` must be columns of {len(outcomes)} numbers, one for each of the outcomes")
    if not 0 <= columns <= len(inputs):
        raise ValueError(f"`dataset.columns` must be from 0 to {len(inputs)}, but is {columns}")
    x = torch.tensor(inputs[:columns], dtype=torch.float64).reshape(columns, len(outcomes)).t()
    y = torch.tensor(outcomes, dtype=torch.float64)
    if not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError("`dataset.inputs` and `dataset.outcomes` must be finite numbers")
    return _of_groups(x, y, scale) if likelihood == "hierarchical" else _of_bits(x, y, scale)


def _of_bits(x: Tensor, y: Tensor, scale: float) -> Knowledge:
    if not y.eq(y.ne(0)).all():
        raise ValueError("`dataset.outcomes` must be 0 or 1 for a logistic likelihood")
    deviation = (x - x.mean(0)).square().mean(0).sqrt()
    if not deviation.gt(0).all():
        raise ValueError("`dataset.inputs` must be columns of different numbers for a logistic likelihood")
    inputs = torch.cat([torch.ones_like(y)[:, None], (x - x.mean(0)) / deviation], 1)
    mean = inputs.new_zeros(inputs.shape[1])
    return Knowledge(inputs, y, mean, torch.full_like(mean, scale))


def _of_groups(x: Tensor, y: Tensor, scale: float) -> Knowledge:
    if x.shape[1] != 1:
        raise ValueError(f"`dataset.columns` must be 1 for a hierarchical likelihood, but is {x.shape[1]}")
    if not x.gt(0).all():
        raise ValueError("`dataset.inputs` must be positive numbers for a hierarchical likelihood")
    mean, deviation = y.new_zeros(len(y) + 2), y.new_ones(len(y) + 2)
    mean[1], deviation[0] = math.log(scale), scale
    return Knowledge(x, y, mean, deviation)


def maximum(log_f: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Returns a local maximum of `log_f` by the method of Broyden, Fletcher, Goldfarb and Shanno, from `start` [P]."""
    theta = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -log_f(theta)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return theta.detach()
