r"""Generators whose samples have Gaussian noise added, which gives them a density, and priors of the z that they map.

.. math:: p_s(x) = E_{u \sim N(0, I)}\left[N(x;\, g(z(u)), s^2 I)\right]

A prior is a map z(u) of normal u, in which posteriors have no walls: Hamiltonian dynamics in the box of a uniform z
leaves it, and is rejected, at nearly every step once z has many units.

References:
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dgmrun.nn.hmc import PosteriorPath


class Prior(NamedTuple):
    """Distribution of each unit of z.

    Args:
        draw: draws z of the shape of a tensor.
        of_normal: maps u ~ N(0, 1) to z, differentiably.
    """

    draw: Callable[[Tensor], Tensor]
    of_normal: Callable[[Tensor], Tensor]


PRIORS = {
    "uniform": Prior(lambda z: 2 * torch.rand_like(z) - 1, lambda u: torch.erf(u / math.sqrt(2))),
    "normal": Prior(torch.randn_like, lambda u: u),
}


@dataclass(frozen=True)
class NoisyGenerator:
    """The latent variable model x = g(z(u)) + `scale` * N(0, I), whose latent variables are u ~ N(0, I).

    Args:
        model: an `ImplicitModel` whose noise z is [num, units].
        prior: the distribution of z.
        scale: standard deviation s of the noise that is added, in the units of x.
    """

    model: Any
    prior: Prior
    scale: float

    def noise_scale(self) -> float:
        """Standard deviation of the noise."""
        return self.scale

    @torch.no_grad()
    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples x [num, *event.shape], one for each row of `context` if it is given, and u [1, num, units]."""
        u = self._normal(num)
        means = self.model.generate(self.prior.of_normal(u), context)
        return means + self.scale * torch.randn_like(means), [u[None]]

    def posterior_path(self, x: Tensor, context: Tensor | None = None) -> PosteriorPath:
        """Path from p(u) to p(u | x) for examples x [batch, *event.shape]; a state is u [chains, batch, units]."""
        flat, log_scale = x.flatten(1), math.log(self.scale * math.sqrt(2 * math.pi))

        def log_prior(u: Tensor) -> Tensor:
            return -(u.square() + math.log(2 * math.pi)).sum(-1) / 2

        def log_likelihood(u: Tensor) -> Tensor:
            told = None if context is None else context.repeat(len(u), *[1] * (context.dim() - 1))
            z = self.prior.of_normal(u.flatten(0, 1))
            means = self.model.generate(z, told).flatten(1).unflatten(0, u.shape[:2])
            squares: Tensor = ((means - flat) / self.scale).square().sum(-1)
            return -squares / 2 - flat.shape[1] * log_scale

        return PosteriorPath(log_prior, log_likelihood, lambda num: self._normal(num * len(x)).unflatten(0, (num, -1)))

    def _normal(self, num: int) -> Tensor:
        return torch.randn_like(self.model.noise(num))
