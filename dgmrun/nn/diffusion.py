r"""Kernels of diffusion: noisy examples z_t, the divergences of a step back from them, and the step itself.

- Gaussian, of real numbers and levels: :math:`q(z_t \mid x) = N(\alpha_t x, \sigma_t^2)`, with
  :math:`\alpha_t^2 = \bar\alpha_t = 1 - \sigma_t^2`.
- Binomial, of bits: each is kept with probability :math:`\bar\alpha_t`, and otherwise tossed anew.

A step back draws from :math:`p(z_s \mid z_t) = \int q(z_s \mid z_t, x) \, \hat p(x \mid z_t) \, dx`, where a network
gives :math:`\hat p`, independent in each dimension: a Gaussian, or a Bernoulli distribution. So does the last step.

References:
    Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli (2015), https://arxiv.org/abs/1503.03585, section 2, table app.1.
    Ho, Jain and Abbeel (2020), https://arxiv.org/abs/2006.11239, equations 5 to 14.
    Kingma, Salimans, Poole and Ho (2021), https://arxiv.org/abs/2107.00630, equations 11 to 18.
    Song, Meng and Ermon (2021), DDIM, https://arxiv.org/abs/2010.02502, equation 12.
    Salimans and Ho (2022), https://arxiv.org/abs/2202.00512: the velocity.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import logsigmoid, softplus

from dgmrun.nn.binary import bernoulli
from dgmrun.nn.observation import LEAST_SCALE, DiscretisedLogistic
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Event

TINY = 1e-7
"""Least part of bits that a step tosses."""
Network = Callable[[Tensor, Tensor], Tensor]
"""Outputs [batch, outputs, ...] of noisy examples [batch, ...] and log signal-to-noise ratios [batch]."""
VARIANCES = ("learned", "large", "small")
PREDICTIONS = ("velocity", "noise", "x")


class Kernel(ABC):
    """What a kind of noise does; log signal-to-noise ratios are [batch, ...], broadcast over an example."""

    outputs: int
    """Number of outputs of the network for each dimension."""

    @abstractmethod
    def noised(self, x: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Draws z_t of each x; returns it with the noise that was drawn."""

    @abstractmethod
    def prior(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """KL(q(z_T | x) || p(z_T)) of each dimension."""

    @abstractmethod
    def weights(self, grid: Tensor) -> Tensor:
        """How often the bound is estimated by each step back, [steps - 1], from the log-SNRs of all times, [steps]."""

    @abstractmethod
    def step(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor) -> Tensor:
        """KL(q(z_s | z_t, x) || p(z_s | z_t)) of each dimension, where `before` is the log-SNR of s < t."""

    @abstractmethod
    def simple(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """Loss of each dimension that weighs all log-SNRs alike."""

    @abstractmethod
    def decode(self, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """-log p(x | z_1) of each dimension."""

    @abstractmethod
    def start(self, like: Tensor) -> Tensor:
        """Draws z_T from p(z_T), in the shape of `like`."""

    @abstractmethod
    def back(self, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor, is_ancestral: bool) -> Tensor:
        """Draws z_s given z_t; if not ancestral, with no more noise than z_t has."""

    @abstractmethod
    def end(self, z: Tensor, outputs: Tensor, log_snr: Tensor, is_ancestral: bool) -> Tensor:
        """Draws x given z_1; if not ancestral, without noise where it has any."""

    def denoised(self, z: Tensor, grid: Tensor, network: Network, is_ancestral: bool) -> Tensor:
        """Draws x from z_T by steps from each of the log-SNRs of a grid to the next, with the outputs of a network."""
        for log_snr, before in tracked(list(pairwise(grid))):
            z = self.back(z, network(z, log_snr.expand(len(z))), log_snr, before, is_ancestral)
        return self.end(z, network(z, grid[-1].expand(len(z))), grid[-1], is_ancestral)


class GaussianKernel(Kernel):
    r"""Gaussian noise; :math:`\hat p(x \mid z_t) = N(\hat x, w \sigma_t^2)`.

    Args:
        event: event of one example, real numbers or levels.
        predicts: what the network gives: `noise`, `x`, or `velocity` alpha noise - sigma x (Salimans and Ho 2022).
        variance: w: `small`, 0, that of a known x; `large`, 1, that of data of variance 1 (Ho et al. 2020, section
            3.2); or `learned`, a second output. z_1 is decoded with w = 1 where it is small.
    """

    def __init__(self, event: Event, predicts: str, variance: str) -> None:
        self.levels, self.predicts, self.variance = event.size, predicts, variance
        self.outputs = 2 if variance == "learned" else 1

    def noised(self, x: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernel`."""
        noise = torch.randn_like(x)
        return signal(log_snr) * x + signal(-log_snr) * noise, noise

    def prior(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """See `Kernel`."""
        return (log_snr.sigmoid() * (x.square() - 1) - logsigmoid(-log_snr)) / 2

    def weights(self, grid: Tensor) -> Tensor:
        """See `Kernel`; divergences are about in proportion to the fall of log-SNR."""
        return grid[:-1] - grid[1:]

    def step(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor) -> Tensor:
        """See `Kernel`."""
        gain = torch.expm1(before - log_snr)
        log_excess = gain.log() + logsigmoid(log_snr) + self._log_w(outputs)
        error = (noise - self._denoised(z, outputs, log_snr)[1]).square()
        return (softplus(log_excess) + gain * error * (-log_excess).sigmoid() - log_excess.sigmoid()) / 2

    def rate(self, noise: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor, fall: Tensor) -> Tensor:
        """Derivative by t of the sum of divergences of ever smaller steps, where log-SNR falls at the rate `fall`."""
        return fall * (noise - self._denoised(z, outputs, log_snr)[1]).square() / 2

    def simple(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """Squared error of the noise (Ho et al. 2020, equation 14)."""
        return (noise - self._denoised(z, outputs, log_snr)[1]).square()

    def decode(self, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """See `Kernel`; the law of levels is a discretised logistic of that variance."""
        seen = x if self.levels is None else ((x + 1) * ((self.levels - 1) / 2)).round()
        found: Tensor = -self._decoder(z, outputs, log_snr).log_prob(seen)
        return found

    def start(self, like: Tensor) -> Tensor:
        """See `Kernel`."""
        return torch.randn_like(like)

    def back(self, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor, is_ancestral: bool) -> Tensor:
        """See `Kernel`."""
        x, noise = self._denoised(z, outputs, log_snr)
        if not is_ancestral:
            return signal(before) * x + signal(-before) * noise
        gain = torch.expm1(before - log_snr)
        log_excess = gain.log() + logsigmoid(log_snr) + self._log_w(outputs)
        fresh = (-torch.expm1(log_snr - before)).sqrt() * (softplus(log_excess) / 2).exp() * torch.randn_like(z)
        return signal(before) * x + signal(-before) * (((log_snr - before) / 2).exp() * noise + fresh)

    def end(self, z: Tensor, outputs: Tensor, log_snr: Tensor, is_ancestral: bool) -> Tensor:
        """See `Kernel`."""
        if not is_ancestral:
            x = self._denoised(z, outputs, log_snr)[0]
            return x if self.levels is None else x.clamp(-1, 1)
        drawn = self._decoder(z, outputs, log_snr).sample()
        return drawn if self.levels is None else drawn * (2 / (self.levels - 1)) - 1

    def _denoised(self, z: Tensor, outputs: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable x, and the noise that is then in z."""
        alpha, sigma, out = signal(log_snr), signal(-log_snr), outputs[:, 0]
        if self.predicts == "noise":
            return (z - sigma * out) / alpha, out
        if self.predicts == "x":
            return out, (z - alpha * out) / sigma
        return alpha * z - sigma * out, sigma * z + alpha * out

    def _log_w(self, outputs: Tensor) -> Tensor:
        if self.variance == "learned":
            return outputs[:, 1]
        return outputs.new_tensor(0.0 if self.variance == "large" else -math.inf)

    def _decoder(self, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Normal | DiscretisedLogistic:
        log_w = outputs[:, 1] if self.variance == "learned" else 0.0
        location = self._denoised(z, outputs, log_snr)[0]
        scale = ((log_w + logsigmoid(-log_snr)) / 2).exp().clamp(min=LEAST_SCALE)
        if self.levels is None:
            return Normal(location, scale, validate_args=False)
        return DiscretisedLogistic(location, scale * (math.sqrt(3) / math.pi), self.levels)


class BinomialKernel(Kernel):
    r"""Bits that are tossed anew; :math:`\hat p(x_d = 1 \mid z_t)` has the logit of z_t alone, plus an output.

    Bits are spins here, -1 or 1, kept with probability a_t, for which q(z_s | z_t, x) has the logit
    2 artanh(a_t / a_s) z_t + 2 artanh(a_s) x.
    """

    outputs = 1

    def noised(self, x: Tensor, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernel`; the noise is what z_t is."""
        z = spins((1 + log_snr.sigmoid() * x) / 2)
        return z, z

    def prior(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """See `Kernel`; p(z_T) is of fair coins."""
        kept, tossed = log_snr.sigmoid(), (-log_snr).sigmoid()
        return (((1 + kept) * kept.log1p() + tossed * tossed.log()) / 2).expand_as(x)

    def weights(self, grid: Tensor) -> Tensor:
        """See `Kernel`; all alike."""
        return torch.ones_like(grid[1:])

    def step(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor) -> Tensor:
        """See `Kernel`."""
        own, pull = stay(log_snr, before) * z, twice_artanh(before)
        q = own + pull * x
        log_p, log_not = self.stepped(z, outputs, log_snr, before)
        return q.sigmoid() * (logsigmoid(q) - log_p) + (-q).sigmoid() * (logsigmoid(-q) - log_not)

    def simple(self, noise: Tensor, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """-log p(x | z_t)."""
        return self.decode(x, z, outputs, log_snr)

    def decode(self, x: Tensor, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        """See `Kernel`."""
        return softplus(-x * self._logits(z, outputs, log_snr))

    def start(self, like: Tensor) -> Tensor:
        """See `Kernel`."""
        return spins(torch.full_like(like, 0.5))

    def back(self, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor, is_ancestral: bool) -> Tensor:
        """See `Kernel`; bits have no other way than the ancestral one."""
        return spins(self.stepped(z, outputs, log_snr, before)[0].exp())

    def end(self, z: Tensor, outputs: Tensor, log_snr: Tensor, is_ancestral: bool) -> Tensor:
        """See `Kernel`."""
        return spins(self._logits(z, outputs, log_snr).sigmoid())

    def _logits(self, z: Tensor, outputs: Tensor, log_snr: Tensor) -> Tensor:
        return twice_artanh(log_snr) * z + outputs[:, 0]

    def stepped(self, z: Tensor, outputs: Tensor, log_snr: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """log p(z_s = 1 | z_t) and log p(z_s = -1 | z_t)."""
        logits, own, pull = self._logits(z, outputs, log_snr), stay(log_snr, before) * z, twice_artanh(before)
        log_x, log_not = logsigmoid(logits), logsigmoid(-logits)
        return (
            torch.logaddexp(log_x + logsigmoid(own + pull), log_not + logsigmoid(own - pull)),
            torch.logaddexp(log_x + logsigmoid(-own - pull), log_not + logsigmoid(pull - own)),
        )


def signal(log_snr: Tensor) -> Tensor:
    """alpha, the factor of the signal, or for minus the log-SNR sigma, that of the noise."""
    return log_snr.sigmoid().sqrt()


def twice_artanh(log_snr: Tensor) -> Tensor:
    """Logit of a spin of 1, given one that is kept with probability sigmoid(log_snr)."""
    return log_snr.sigmoid().log1p() - logsigmoid(-log_snr)


def stay(log_snr: Tensor, before: Tensor) -> Tensor:
    """Logit of z_s = 1, given z_t = 1 alone."""
    log_kept = (logsigmoid(log_snr) - logsigmoid(before)).clamp(max=-TINY)
    return log_kept.exp().log1p() - torch.log(-torch.expm1(log_kept))


def spins(probability: Tensor) -> Tensor:
    """Draws 1 with this probability, and otherwise -1."""
    return 2 * bernoulli(probability).to(probability) - 1
