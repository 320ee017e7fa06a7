r"""Densities of generators whose samples have Gaussian noise added, and distributions of the noise that they map.

.. math:: p_s(x) = E_{z \sim p(z)}\left[N(x;\, g(z), s^2 I)\right]

References:
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dgmrun.nn.hmc import PosteriorPath


class Noise(NamedTuple):
    """Distribution of each unit of the noise z that a generator maps to x.

    Args:
        draw: draws noise of the shape of a tensor.
        log_prob: log p(z) of each unit, of the shape of z.
    """

    draw: Callable[[Tensor], Tensor]
    log_prob: Callable[[Tensor], Tensor]


NOISES = {
    "uniform": Noise(
        lambda z: 2 * torch.rand_like(z) - 1,
        lambda z: torch.where(z.abs() <= 1, -math.log(2), -math.inf),
    ),
    "normal": Noise(torch.randn_like, lambda z: -(z.square() + math.log(2 * math.pi)) / 2),
}


def smoothed_path(model: Any, noise: Noise, x: Tensor, scale: float, context: Tensor | None = None) -> PosteriorPath:
    """Path from p(z) to p(z | x) for x = g(z) + `scale` * N(0, I); a state is z [chains, batch, units].

    Args:
        model: an `ImplicitModel` whose noise is [num, units].
        noise: distribution of each unit of z.
        x: examples [batch, *event.shape], in the units of the model.
        scale: standard deviation s of the noise that is added to g(z).
        context: what each example is conditioned on, [batch, ...].
    """
    flat, log_scale = x.flatten(1), math.log(scale * math.sqrt(2 * math.pi))

    def log_likelihood(z: Tensor) -> Tensor:
        told = None if context is None else context.repeat(len(z), *[1] * (context.dim() - 1))
        means = model.generate(z.flatten(0, 1), told).flatten(1).unflatten(0, z.shape[:2])
        squares: Tensor = ((means - flat) / scale).square().sum(-1)
        return -squares / 2 - flat.shape[1] * log_scale

    return PosteriorPath(
        lambda z: noise.log_prob(z).sum(-1),
        log_likelihood,
        lambda num: model.noise(num * len(x)).unflatten(0, (num, -1)),
    )
