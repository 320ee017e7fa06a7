r"""RealNVP: pictures are the inverse of an invertible convolutional map f of Gaussian noise, of several scales.

.. math:: \log p(x) = \log N(f(x); 0, I) + \log \left| \det \frac{\partial f}{\partial x} \right|

References:
    Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, https://arxiv.org/abs/1605.08803.
    Kingma and Dhariwal (2018), Glow, https://arxiv.org/abs/1807.03039, section 3.1: actnorm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmrun.nn.context import ContextVector
from dgmrun.nn.coupling import NORMS
from dgmrun.nn.multiscale import MultiScale, most_scales
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Event

FIRST = 1000
"""Number of examples to which normalisations are fitted before training."""


class RealNVP(nn.Module):
    """A flow of affine couplings with checkerboard and channel-wise masks, evaluated and sampled in one pass each.

    As published, but that the networks of couplings start as zero and have no batch normalisation within, and that an
    actnorm comes before the first, whatever the others.

    Args:
        event: event of one example; it must be a picture of real numbers.
        scales: number of scales; None for as many as fit, which are three for 28 x 28 pixels: 28, 14 and 7.
        residual_blocks: number of residual blocks in the network of each coupling, of two convolutions each.
        feature_maps: number of hidden channels of the networks; it doubles from scale to scale.
        norm: normalisation after each coupling: `actnorm`; `batch`, in training by the statistics of each batch,
            which should be of some tens of examples; or `none`. The moving average of `optimizer.ema` takes the
            running averages of `batch` as they are, which are of other weights than its own.
        context: event of the context, if any, whose vector is told to each network as constant channels.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> flow = RealNVP(Event((1, 4, 4), "real"), feature_maps=2)
        >>> flow.log_prob(flow.sample(5)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        scales: int | None = None,
        residual_blocks: int = 1,
        feature_maps: int = 8,
        norm: str = "actnorm",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real",), "a RealNVP")
        _check(event, scales, residual_blocks, feature_maps, norm)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        number = most_scales(event.shape) if scales is None else scales
        self.layers = MultiScale(event.shape, number, self.vector.size, feature_maps, residual_blocks, norm)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fits the normalisations to some of `x`, layer by layer."""
        some = x[torch.randperm(len(x))[:FIRST]]
        c = some.new_zeros(len(some), self.vector.size) if self.vector.size else None
        self.layers.initialise(some, c)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]; in full precision, as errors of layers add up."""
        with torch.autocast(x.device.type, enabled=False):
            return self.log_prob_told(x, self.vector(context, next(self.parameters())))

    def log_prob_told(self, x: Tensor, c: Tensor | None) -> Tensor:
        """log p(x) in nats, [batch], where the context is told by its vector c [batch, size], if there is one."""
        z, log_det = self.layers(x, c)
        return log_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        z = next(self.parameters()).new_empty(num, self.event.dims).normal_()
        with torch.autocast(z.device.type, enabled=False):
            x: Tensor = self.layers.inverse(z, self.vector(context, z))
        return x


def _check(event: Event, scales: int | None, residual_blocks: int, feature_maps: int, norm: str) -> None:
    """Refuses settings that make no RealNVP.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    event.require_picture("a RealNVP", "model=flow")
    if math.prod(event.shape[1:]) < 2:
        raise ValueError(
            f"`dataset.event.shape` must have two pixels or more for a RealNVP, but is {list(event.shape)}"
        )
    most = most_scales(event.shape)
    if scales is not None and not (type(scales) is int and 1 <= scales <= most):
        size = " x ".join(map(str, event.shape[1:]))
        raise ValueError(f"`model.scales` must be null or from 1 to {most} for {size} pixels, but is {scales}")
    for key, value, least in (("residual_blocks", residual_blocks, 0), ("feature_maps", feature_maps, 1)):
        check_size(key, value, least)
    check_word("norm", norm, NORMS)
