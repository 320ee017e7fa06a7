r"""Generator of a progressively grown GAN: x = g(z), first at a low resolution, then at twice that, and so on.

The vector z is a direction, as draws of N(0, I) are normalised; a context stands beside it as it is. After t steps, the
resolution is

.. math:: r(t) = \min(R, j + \min(1, s / f)), \qquad t - g = j (f + g) + s, \quad 0 \le s < f + g

that is, each is trained for g = `stable` steps and the next one is blended in for f = `fade` steps, up to that of the
data, R. It depends on the step alone, so that a training goes on from wherever it was killed.

References:
    Karras, Aila, Laine and Lehtinen (2018), Progressive growing of GANs for improved quality, stability, and variation,
    https://arxiv.org/abs/1710.10196.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.noisy import PRIORS, NoisyGenerator
from dgmrun.nn.progressive import Decoder, PixelNorm
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Batch, Event


class ProgressiveGAN(nn.Module):
    """An implicit model of pictures, of real numbers or in [0, 1], that grows while an adversarial objective trains it.

    The paper found the training of large pictures faster and more stable than at full resolution throughout, as their
    outlines are learnt first. As published: equalised learning rate, pixel norm, and, with
    `objective.critic.network=progressive`, a critic that grows along and sees how much the samples of a batch differ;
    `optimizer.ema=0.999` averages the weights. A layer has no gradient before it works, so that its moments begin when
    it does. Pixels of data in [0, 1] are a sigmoid.

    Args:
        event: event of one example; it must be a picture, real or unit.
        latent: number of units of z.
        hidden: number of channels of features at full resolution; twice as many at half of it, and so on.
        depth: number of convolutions at each resolution.
        fade: number of optimiser steps in which a resolution is blended in; 0 for at once.
        stable: number of optimiser steps at each resolution before the next one is blended in; 0 and `fade` 0 for no
            growth.
        context: event of the context c, if any, whose vector extends z.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> ProgressiveGAN(Event((1, 8, 8), "unit"), latent=3, hidden=2).sample(5).shape
        torch.Size([5, 1, 8, 8])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {"dreams": ("x",)}

    def __init__(
        self,
        event: Event,
        latent: int = 64,
        hidden: int = 16,
        depth: int = 2,
        fade: int = 500,
        stable: int = 500,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real", "unit"), "a progressive GAN")
        event.require_picture("a progressive GAN", "model=gan")
        for key, size, least in (
            *(("latent", latent, 2), ("hidden", hidden, 2), ("depth", depth, 1)),  # the norm of one unit is its sign
            *(("fade", fade, 0), ("stable", stable, 0)),
        ):
            check_size(key, size, least)
        self.event, self.latent, self.fade, self.stable = event, latent, fade, stable
        self.context, self.vector = context, ContextVector(context)
        squash = nn.Sigmoid if event.kind == "unit" else nn.Identity
        self.norm, self.net = PixelNorm(), Decoder(event.shape, hidden, depth, latent + self.vector.size, squash)

    def resolution_at(self, step: int) -> float:
        """The resolution of a step before which there were so many, r(t)."""
        last, period = self.net.resolution.last, self.fade + self.stable
        if step < self.stable:
            return 0.0
        if period == 0:
            return float(last)
        place, since = divmod(step - self.stable, period)
        return min(last, place + (since / self.fade if since < self.fade else 1.0))

    def steps_to_grow(self) -> int:
        """Number of steps before the first one at the resolution of the data."""
        return self.net.resolution.last * (self.fade + self.stable)

    def shown(self, x: Tensor) -> Tensor:
        """Examples [batch, *event.shape] at the present resolution, blended as samples are."""
        return self.net.resolution.shown(x)

    def grain(self, x: Tensor) -> Tensor:
        """Noise N(0, 1) in the shape of examples, whose pixels are those of the present resolution."""
        return self.net.resolution.grain(x)

    @torch.no_grad()
    def noise(self, num: int) -> Tensor:
        """Samples of z before they are normalised, [num, latent]."""
        return torch.randn_like(next(self.parameters()).new_empty(num, self.latent))

    def generate(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Generates x [num, *event.shape] from z, differentiably, at the present resolution."""
        x: Tensor = self.net(beside(self.norm(noise), self.vector(context, noise)))
        return x

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generate(self.noise(num), context)

    def smoothed(self, scale: float) -> NoisyGenerator:
        """The model x = g(z) + `scale` * N(0, I); see `Smoothed`."""
        return NoisyGenerator(self, PRIORS["normal"], scale)

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """As many samples as there are examples."""
        return {"dreams": self.sample(len(batch.x), batch.context)}
