r"""Diffusion: data are turned into noise step by step, and a network learns each step back.

.. math::
    -\log p(x) \le KL(q(z_T \mid x) \| p(z_T)) + \sum_{t=2}^T
    E_q[KL(q(z_{t-1} \mid z_t, x) \| p(z_{t-1} \mid z_t))] + E_q[-\log p(x \mid z_1)]

A latent variable model of T layers with a fixed q, or of ever more and smaller steps, in continuous time. With T = 1 it
is a VAE whose encoder is noise.

References:
    Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli (2015), Deep unsupervised learning using nonequilibrium
    thermodynamics, https://arxiv.org/abs/1503.03585, equations 13 and 14.
    Ho, Jain and Abbeel (2020), Denoising diffusion probabilistic models, https://arxiv.org/abs/2006.11239, equation 5.
    Kingma, Salimans, Poole and Ho (2021), Variational diffusion models, https://arxiv.org/abs/2107.00630, equation 17.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dgmrun.nn.binary import precise
from dgmrun.nn.context import ContextVector
from dgmrun.nn.denoiser import NETWORKS
from dgmrun.nn.diffusion import PREDICTIONS, VARIANCES, BinomialKernel, GaussianKernel, Kernel
from dgmrun.nn.noise import SCHEDULES, Fixed, Learned
from dgmrun.nn.settings import check_size, check_word
from dgmrun.nn.standardise import first_layer
from dgmrun.protocols.values import Batch, Event

KINDS = ("binary", "levels", "real")
TIMES = ("discrete", "continuous")
SAMPLERS = ("ancestral", "ddim")
SAMPLED = 500
"""Number of samples that are drawn together."""


class Diffusion(nn.Module):
    """Diffusion of bits by a binomial kernel, of levels and of real numbers, which are standardised, by a Gaussian one.

    Args:
        event: event of one example.
        steps: number of steps T; in continuous time, those of samples alone.
        time: `discrete`, or `continuous`, of a Gaussian kernel: the limit of ever more and smaller steps.
        schedule: `linear`, `cosine`, `harmonic`, `straight`, or `learned`, of a Gaussian kernel, as no gradients pass
            through bits.
        predicts: what the network of a Gaussian kernel gives: `velocity`, `noise` or `x`, which half precision rounds
            too coarsely where there is little noise.
        variance: that of the steps back of a Gaussian kernel: `learned`, `large` or `small`; the bound in continuous
            time depends on it in the decoder of z_1 alone.
        network: `mlp` or `unet`; None for a U-Net of pictures whose sides are at least 4.
        width: units of a hidden layer, or channels at full size.
        depth: hidden layers, or blocks at each size on the way down, and up.
        context: event of the context, if any, which the network is told.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> model = Diffusion(Event((4,), "binary"), steps=3, width=8)
        >>> model.bound(Batch(model.sample(5), torch.arange(5))).shape
        torch.Size([5])
    """

    def __init__(
        self,
        event: Event,
        steps: int = 1000,
        time: str = "discrete",
        schedule: str = "cosine",
        predicts: str = "velocity",
        variance: str = "large",
        network: str | None = None,
        width: int = 32,
        depth: int = 2,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(KINDS, "a diffusion model")
        network = network or ("unet" if event.is_picture and min(event.shape[1:]) >= 4 else "mlp")
        is_binary = event.kind == "binary"
        of_bits = "binary data" if is_binary else ""
        check_word("time", time, TIMES[:1] if is_binary else TIMES, of_bits)
        check_word("schedule", schedule, SCHEDULES if is_binary else (*SCHEDULES, "learned"), of_bits)
        check_word("predicts", predicts, PREDICTIONS)
        check_word("variance", variance, VARIANCES)
        of_vectors = "" if event.is_picture else "data that are no pictures"
        check_word("network", network, NETWORKS if event.is_picture else ("mlp",), of_vectors)
        for key, size in (("width", width), ("depth", depth), ("steps", steps)):
            check_size(key, size, 1)
        if event.size == 1:
            raise ValueError("`dataset.event.size` must be at least 2 for a diffusion model, but is 1")
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.steps, self.is_continuous = steps, time == "continuous"
        self.sampler, self.sample_steps = "ancestral", steps
        self.learned = {"schedule": schedule == "learned", "variance": variance == "learned" and not is_binary}
        self.schedule = Learned() if schedule == "learned" else Fixed(schedule)
        self.first = first_layer(event)
        self.kernel: Kernel = BinomialKernel() if is_binary else GaussianKernel(event, predicts, variance)
        self.network = NETWORKS[network](event.shape, self.kernel.outputs, self.vector.size, width, depth)

    def initialise(self, x: Tensor) -> None:
        """Standardises real numbers."""
        self.first.fit(x)

    def bound(self, batch: Batch) -> Tensor:
        """Bound on -log p(x) in nats, [batch]: its ends, and what is between by one t of each example."""
        return self.ends(batch) + self.between(batch)

    def ends(self, batch: Batch) -> Tensor:
        """KL(q(z_T | x) || p(z_T)) - log p(x | z_1) by one z_1, in nats, [batch]."""
        x, c = self._told(batch)
        last, first = self.schedule(self.like.new_tensor([1.0, self._t(1)]))
        z, _ = self.kernel.noised(x, first)
        decoded = self.kernel.decode(x, z, self._outputs(z, first.expand(len(x)), c), first)
        return _total(self.kernel.prior(x, last) + decoded) - self.first.log_jacobian()

    def between(self, batch: Batch) -> Tensor:
        """Unbiased estimate of the sum of the divergences of all steps back, by one of them, in nats, [batch]."""
        x, c = self._told(batch)
        if self.steps == 1 and not self.is_continuous:
            return x.new_zeros(len(x))
        u = self._spread(len(x))
        if self.is_continuous:
            assert isinstance(self.kernel, GaussianKernel)
            log_snr, slopes = map(self._over, self.schedule.draw(u))
            z, noise = self.kernel.noised(x, log_snr)
            return _total(self.kernel.rate(noise, z, self._outputs(z, log_snr, c), log_snr, -slopes))
        grid = self.schedule(self._t(torch.arange(1, self.steps + 1, dtype=u.dtype, device=u.device)))
        shares = self.kernel.weights(grid.detach())
        parts = shares.cumsum(0)
        step = torch.searchsorted(parts / parts[-1], u, right=True)  # never one without a share
        log_snr, before = self._over(grid[step + 1]), self._over(grid[step])
        z, noise = self.kernel.noised(x, log_snr)
        divergence = self.kernel.step(noise, x, z, self._outputs(z, log_snr, c), log_snr, before)
        return _total(divergence) * parts[-1] / shares[step]

    def simple(self, batch: Batch) -> Tensor:
        """Loss that weighs all t alike, a mean over dimensions by one t of each example, [batch]."""
        x, c = self._told(batch)
        u = self._spread(len(x))
        t = u if self.is_continuous else self._t((1 + (u * self.steps).floor()).clamp(max=self.steps))
        log_snr = self._over(self.schedule(t))
        z, noise = self.kernel.noised(x, log_snr)
        return self.kernel.simple(noise, x, z, self._outputs(z, log_snr, c), log_snr).reshape(len(x), -1).mean(1)

    def learns(self, setting: str) -> bool:
        """Whether `schedule` or `variance` are learned, as the bound alone can do."""
        return self.learned[setting]

    def interior(self) -> list[nn.Parameter]:
        """Parameters that change the variance of the bound alone: in continuous time what is between the ends."""
        return [self.schedule.interior] if self.is_continuous and isinstance(self.schedule, Learned) else []

    def sample_by(self, sampler: str, steps: int | None) -> None:
        """Sets how samples are drawn.

        Args:
            sampler: `ancestral`, of the model of which the bound is; or `ddim`, of a Gaussian kernel, the same without
                fresh noise.
            steps: number of steps, each over several of the T if there are fewer; None for all.

        Raises:
            ValueError: a setting is invalid; the message names its key.
        """
        known = SAMPLERS[:1] if self.event.kind == "binary" else SAMPLERS
        if sampler not in known:
            raise ValueError(f"`sample.sampler` must be {' or '.join(known)} for this model, but is {sampler}")
        if steps is not None:
            check_size("steps", steps, 1, "sample")
            if steps > self.steps and not self.is_continuous:
                raise ValueError(f"`sample.steps` must be at most model.steps, {self.steps}, but is {steps}")
        self.sampler, self.sample_steps = sampler, steps or self.steps

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        c = self.vector(context, self.like)
        times = torch.linspace(1, self._t(1), self.sample_steps, dtype=self.like.dtype, device=self.like.device)
        grid = self.schedule(times if self.is_continuous else times.mul(self.steps).round() / self.steps)
        z = self.kernel.start(self.like.new_empty(num, *self.event.shape))
        for each in torch.arange(num, device=z.device).split(SAMPLED):
            told = None if c is None else c[each]
            z[each] = self.kernel.denoised(z[each], grid, partial(self._outputs, c=told), self.sampler == "ancestral")
        return self._original(z)

    @property
    def like(self) -> Tensor:
        """A parameter, which has the data type and device of all."""
        return next(self.network.parameters())

    def _t(self, step: Any) -> Any:
        """Time of a step, the first of which is 1; that of the first is 0 in continuous time."""
        return 0.0 if self.is_continuous else step / self.steps

    def _outputs(self, z: Tensor, log_snr: Tensor, c: Tensor | None) -> Tensor:
        """Outputs of the network [batch, outputs, *event.shape], in single precision or higher."""
        return precise(self.network(z, log_snr.flatten(), c))

    def _told(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Examples as kernels take them, and vectors of their contexts."""
        return self._seen(batch.x), self.vector(batch.context, self.like)

    def _spread(self, num: int) -> Tensor:
        """Uniform draws [num] in [0, 1), each in its own of as many equal parts, in random order."""
        u = ((torch.randperm(num) + torch.rand(num)) / num).to(self.like)
        return u.clamp(max=1 - torch.finfo(u.dtype).eps / 2)  # a sum can be rounded up to 1

    def _over(self, each: Tensor) -> Tensor:
        """Spreads values [batch] over the dimensions of examples."""
        return each.view(-1, *[1] * len(self.event.shape))

    def _seen(self, x: Tensor) -> Tensor:
        """x as kernels take it: bits and levels from -1 to 1, real numbers standardised."""
        if self.event.kind == "real":
            return self.first(x).view_as(x)
        return x.to(self.like) * (2 / ((self.event.size or 2) - 1)) - 1

    def _original(self, x: Tensor) -> Tensor:
        """The inverse of `_seen`."""
        if self.event.kind == "real":
            return self.first.inverse(x.reshape(len(x), -1)).view_as(x)
        return ((x + 1) * (((self.event.size or 2) - 1) / 2)).round().to(self.event.dtype)


def _total(each: Tensor) -> Tensor:
    """Sums over the dimensions of each example, [batch]."""
    return each.reshape(len(each), -1).sum(1)
