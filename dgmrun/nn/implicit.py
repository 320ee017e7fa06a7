r"""Posteriors that are maps from noise, without a density, and nets that estimate density ratios of them.

.. math:: z_j = a_{j0}(x) + \sum_k a_{jk}(x)\, v_{jk}(\epsilon), \qquad \epsilon \sim N(0, I)

The units depend on each other through the noise. Mean and variance of each are known from those of v, which do not
depend on x.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722, section 3.3
    and supplement: posteriors whose moments are known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dgmrun.nn.mlp import ACTIVATIONS, linear, mlp
from dgmrun.nn.settings import check_size

POINTS = 500
"""Number of fixed draws of the noise, saved with the weights, over which the moments of v are means."""
LEAST_VARIANCE = 1e-6


class Implicit(nn.Module):
    """An implicit posterior, given x or features of it.

    Args:
        encoder: maps x to `outputs(latent, basis)` numbers a(x), [batch, outputs].
        latent: number of units of z.
        noise: number of units of the noise; fewer than `latent` would confine z to a surface.
        basis: number of functions v of each unit.
        depth: number of hidden layers of v, of 2 * noise units each; with 0, q is Gaussian.
        activation: activation of its hidden layers.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    points: Tensor

    def __init__(self, encoder: nn.Module, latent: int, noise: int, basis: int, depth: int, activation: str) -> None:
        super().__init__()
        check_size("noise", noise, latent)
        check_size("basis", basis, 1)
        self.encoder, self.latent, self.basis = encoder, latent, basis
        self.net = mlp([noise, *[2 * noise] * depth, latent * basis], activation)
        self.register_buffer("points", torch.randn(POINTS, noise))

    @staticmethod
    def outputs(latent: int, basis: int) -> int:
        """Number of outputs of the encoder."""
        return latent * (1 + basis)

    def forward(self, x: Tensor, num: int) -> Tensor:
        """Samples z, [num, batch, latent]."""
        return self._drawn(*self._weights(x), num)

    def with_moments(self, x: Tensor, num: int) -> tuple[Tensor, Normal]:
        """Samples z, and the Gaussian with mean and variance of each unit [batch, latent], without a gradient."""
        offset, weights = self._weights(x)
        return self._drawn(offset, weights, num), self._moments(offset, weights)

    def moments(self, x: Tensor) -> Normal:
        """The Gaussian with mean and variance of each unit [batch, latent], without a gradient."""
        return self._moments(*self._weights(x))

    @torch.no_grad()
    def _moments(self, offset: Tensor, weights: Tensor) -> Normal:
        v = self._v(self.points)
        centred = v - v.mean(0)
        covariance = torch.einsum("pjk,pjl->jkl", centred, centred) / len(v)
        variance = torch.einsum("bjk,jkl,bjl->bj", weights, covariance, weights)
        mean = offset + (weights * v.mean(0)).sum(-1)
        return Normal(mean, (variance + LEAST_VARIANCE).sqrt(), validate_args=False)

    def _weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a_j0(x) [batch, latent], and a_jk(x) [batch, latent, basis]."""
        a = self.encoder(x).unflatten(-1, (self.latent, 1 + self.basis))
        return a[..., 0], a[..., 1:]

    def _v(self, noise: Tensor) -> Tensor:
        v: Tensor = self.net(noise)
        return v.unflatten(-1, (self.latent, self.basis))

    def _drawn(self, offset: Tensor, weights: Tensor, num: int) -> Tensor:
        noise = offset.new_empty(num, len(offset), self.points.shape[1]).normal_()
        return offset + (weights * self._v(noise)).sum(-1)


class RatioNet(nn.Module):
    """T(x, z): the logit of a classifier of pairs, which passes x once for all samples of z.

    Args:
        encoder: maps x to [batch, hidden].
        told: numbers that it is told of z.
        hidden: units of each hidden layer.
        depth: number of hidden layers of x and z together, of which there is at least one: without any, T would be
            a function of x plus a linear one of z, which no log ratio of two Gaussians is.
        activation: activation of hidden layers.
    """

    def __init__(self, encoder: nn.Module, told: int, hidden: int, depth: int, activation: str) -> None:
        super().__init__()
        self.encoder, self.of_z = encoder, linear(told, hidden)
        self.head = nn.Sequential(ACTIVATIONS[activation](), *mlp([*[hidden] * max(1, depth), 1], activation))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """T [samples, batch], given z [samples, batch, told]."""
        t: Tensor = self.head(self.encoder(x) + self.of_z(z))
        return t.squeeze(-1)
