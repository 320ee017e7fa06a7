r"""Gaussian-binary restricted Boltzmann machine: real visible units, each with a learnt scale, binary hidden units.

.. math:: p(v, h) = \exp\Big(-\sum_i \frac{(v_i - a_i)^2}{2 \sigma_i^2}
          + \sum_{ij} \frac{v_i - a_i}{\sigma_i^2} W_{ij} h_j + \sum_j b_j h_j\Big) / Z

so that :math:`p(v_i \mid h) = N(a_i + (W h)_i, \sigma_i^2)`, and the logits of h are
:math:`b + W^\top ((v - a) / \sigma^2)`: a mixture of 2^H Gaussians, all with the variances :math:`\sigma_i^2`. The
energy is that of Cho, Ilin and Raiko, but visible units are measured from their biases a: the same distributions, with
hidden biases that differ by :math:`W^\top (a / \sigma^2)`.

References:
    Cho, Ilin and Raiko (2011), Improved learning of Gaussian-Bernoulli restricted Boltzmann machines, equation 3.
    Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, who fix the scales.
    Welling, Rosen-Zvi and Hinton (2005), Exponential family harmoniums.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dgmrun.nn.harmonium import Harmonium
from dgmrun.nn.observation import LEAST_SCALE
from dgmrun.protocols.values import Batch, Event


class GaussianRBM(Harmonium):
    """A restricted Boltzmann machine of real numbers, which should be standardised.

    Its scales have a lower limit of 0.001, without which densities are unbounded on data that repeat a value. A Gibbs
    sweep costs two [D, H] products; log Z is exact by 2^H states.

    Args:
        event: event of one example; it must be real.
        hidden: number of hidden units H.
        weight_std: standard deviation of the initial weights.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> GaussianRBM(Event((4,), "real"), hidden=3).log_unnormalised(torch.ones(2, 4)).shape
        torch.Size([2])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "filters": ("weight W", "hidden unit", "visible unit"),
        "activity": ("p(h = 1 | x)", "example", "hidden unit"),
    }

    def __init__(self, event: Event, hidden: int = 100, weight_std: float = 0.01) -> None:
        event.require(("real",), "a Gaussian-binary RBM")
        super().__init__(event, event.dims, hidden, weight_std)
        self.visible_bias = nn.Parameter(torch.zeros(event.dims))
        self.log_scale = nn.Parameter(torch.zeros(event.dims))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets visible biases and scales to means and standard deviations of `x`, so that these match if W = 0."""
        scale, mean = torch.std_mean(x.flatten(1), 0, correction=0)
        self.visible_bias.copy_(mean)
        self.log_scale.copy_((scale - LEAST_SCALE).clamp(min=LEAST_SCALE).log())

    def precision(self) -> Tensor:
        """1 / sigma^2 of each visible unit, [D]."""
        return (self.log_scale.exp() + LEAST_SCALE).pow(-2)

    def statistics(self, v: Tensor) -> Tensor:
        """v - a, and minus half its square, [batch, D, 2]."""
        centred = v - self.visible_bias
        return torch.stack((centred, -centred.square() / 2), -1)

    def inputs(self, t: Tensor) -> Tensor:
        """(v - a) / sigma^2, [batch, D]."""
        return t[..., 0] * self.precision()

    def natural(self, field: Tensor) -> Tensor:
        """The field W h over the variance, and the precision, [..., D, 2]."""
        precision = self.precision()
        return torch.stack((field * precision, precision.expand_as(field)), -1)

    def marginals(self, v: Tensor) -> Tensor:
        """Natural parameters of a Gaussian with the means and standard deviations of v, [D, 2]."""
        scale, mean = torch.std_mean(v.to(self.weight), 0, correction=0)
        precision = scale.clamp(min=LEAST_SCALE).pow(-2)
        return torch.stack(((mean - self.visible_bias) * precision, precision), -1)

    def log_partition(self, eta: Tensor) -> Tensor:
        r""":math:`\sum_i \eta_{i1}^2 / 2 \eta_{i2} + \log(2 \pi / \eta_{i2}) / 2`, [...]."""
        linear, precision = eta.unbind(-1)
        return (linear.square() / precision - precision.log() + math.log(2 * math.pi)).sum(-1) / 2

    def law(self, eta: Tensor) -> Normal:
        """Gaussians, [..., D]."""
        linear, precision = eta.unbind(-1)
        return Normal(self.visible_bias + linear / precision, precision.rsqrt(), validate_args=False)

    def draw(self, eta: Tensor) -> Tensor:
        """Samples of these Gaussians, [..., D]."""
        linear, precision = eta.unbind(-1)
        return self.visible_bias + linear / precision + precision.rsqrt() * torch.randn_like(linear)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Weights of each hidden unit [H, *event.shape], and probabilities of h given the examples [batch, H]."""
        filters = self.weight.t().reshape(-1, *self.event.shape)
        return {"filters": filters, "activity": torch.sigmoid(self.hidden_logits(batch.x.flatten(1)))}
