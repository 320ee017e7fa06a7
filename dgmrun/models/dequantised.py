r"""Variational dequantisation: the probability of a picture of levels k is the integral of a RealNVP over k + u.

With u in [0, 1) in each dimension, and q either uniform or the law of a flow that looks at k,

.. math:: \log P(k) = \log \int p(k + u) \, du \ge E_q[\log p(k + u) - \log q(u \mid k)]

References:
    Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, https://arxiv.org/abs/1902.00275, section 3.1.
    Theis, van den Oord and Bethge (2016), https://arxiv.org/abs/1511.01844, section 3.1: uniform dequantisation.
    Dinh, Sohl-Dickstein and Bengio (2017), https://arxiv.org/abs/1605.08803, section 4.1: the logit and its alpha.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from dgmrun.models.realnvp import FIRST, RealNVP
from dgmrun.nn.context import beside
from dgmrun.nn.coupling import Chain, checkerboard, couplings
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Batch, Event

DEQUANTISATIONS = ("variational", "uniform")


class Dequantised(nn.Module):
    r"""A RealNVP of logit(alpha + (1 - 2 alpha) (k + u) / K) for pictures k of K levels, or of bits, where K = 2.

    It has no latent variables to trace: u is drawn and weighed in one pass, as k + u in single precision would keep
    too little of it to find out its density q again.

    Args:
        event: event of one example; it must be a picture of levels or binary.
        dequantisation: `variational`, noise u by a flow that looks at k, which starts as uniform; or `uniform`.
        alpha: distance that the argument of the logit keeps from 0 and 1.
        scales: as in `RealNVP`.
        residual_blocks: as in `RealNVP`, also of the networks of the noise.
        feature_maps: as in `RealNVP`, also of the networks of the noise.
        norm: as in `RealNVP`.
        context: event of the context, if any, which is told to all networks.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> model = Dequantised(Event((1, 4, 4), "levels", 256), feature_maps=2)
        >>> model.bound(Batch(model.sample(5), torch.arange(5))).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        dequantisation: str = "variational",
        alpha: float = 0.05,
        scales: int | None = None,
        residual_blocks: int = 1,
        feature_maps: int = 8,
        norm: str = "actnorm",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("levels", "binary"), "a dequantised RealNVP")
        check_word("dequantisation", dequantisation, DEQUANTISATIONS)
        if not 0 < alpha < 0.5:
            raise ValueError(f"`model.alpha` must be above 0 and below 0.5, but is {alpha}")
        self.event, self.context, self.alpha = event, context, alpha
        self.levels = event.size or 2
        self.flow = RealNVP(Event(event.shape, "real"), scales, residual_blocks, feature_maps, norm, context)
        channels, told = event.shape[0], event.shape[0] + self.flow.vector.size
        masks = [checkerboard(event.shape, place) for place in range(4 * (dequantisation == "variational"))]
        self.noise = Chain(couplings(masks, channels, told, feature_maps, residual_blocks, "none"))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fits the normalisations of the RealNVP to some of `x`, uniformly dequantised."""
        some = x[torch.randperm(len(x))[:FIRST]]
        self.flow.initialise(self._seen(some + torch.rand(some.shape, device=x.device)))

    def bound(self, batch: Batch) -> Tensor:
        """log q(u | k) - log p(k + u) in nats for one draw of u, [batch]: in expectation at least -log P(k)."""
        with torch.autocast(batch.x.device.type, enabled=False):
            k = batch.x.to(next(self.parameters()))
            c = self.flow.vector(batch.context, k)
            u, log_q = self._drawn(torch.rand_like(k).logit(TINY), k, c)
            seen = self._seen(k + u)
            log_jacobian = math.log((1 - 2 * self.alpha) / self.levels) * self.event.dims - _log_slope(seen)
            return log_q - self.flow.log_prob_told(seen, c) - log_jacobian

    def _drawn(self, noise: Tensor, k: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """u [batch, *event.shape], a sigmoid of couplings of logistic noise, and log q(u | k) [batch]."""
        told = beside(2 * k / max(1, self.levels - 1) - 1, c)
        end, log_det = self.noise(noise, told)
        return end.sigmoid(), _log_slope(noise) - log_det - _log_slope(end)

    def _seen(self, v: Tensor) -> Tensor:
        """What the RealNVP sees of k + u."""
        return (self.alpha + (1 - 2 * self.alpha) / self.levels * v).logit()

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]; what lies beyond the lowest or the highest level counts as it."""
        y = self.flow.sample(num, context).sigmoid()
        v = (y - self.alpha) * (self.levels / (1 - 2 * self.alpha))
        return v.floor().clamp(0, self.levels - 1).to(self.event.dtype)


TINY = 1e-6
"""Distance that noise keeps from 0 and 1, where its logit is infinite."""


def _log_slope(x: Tensor) -> Tensor:
    """Sum of the logarithms of the derivatives of the sigmoid, which are densities of the logistic law, [batch]."""
    return (logsigmoid(x) + logsigmoid(-x)).flatten(1).sum(1)
