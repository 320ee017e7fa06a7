r"""Noise schedules of diffusion: how the log signal-to-noise ratio falls, from nearly data at t = 0 to noise at t = 1.

.. math:: \lambda(t) = \log(\bar\alpha(t) / (1 - \bar\alpha(t)))

where :math:`\bar\alpha` is the part of the variance of data that is left; of bits, the probability that one is kept.

References:
    Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli (2015), https://arxiv.org/abs/1503.03585, section 2.4.1.
    Ho, Jain and Abbeel (2020), https://arxiv.org/abs/2006.11239, section 4, in the continuous form of Song et al.
    (2021), https://arxiv.org/abs/2011.13456, equation 33.
    Nichol and Dhariwal (2021), https://arxiv.org/abs/2102.09672, equation 17.
    Kingma, Salimans, Poole and Ho (2021), Variational diffusion models, https://arxiv.org/abs/2107.00630, appendix H.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dgmrun.nn.observation import LEAST_SCALE

LIMIT = -2 * math.log(LEAST_SCALE)
"""Largest log signal-to-noise ratio, at which noise has the least scale of a density, and minus the smallest."""
LEAST_TIME = 1e-7
"""Distance from 0 and 1 at which the log signal-to-noise ratio of any schedule is finite."""
KNOTS = 16
"""Number of pieces of a learned schedule."""


def linear(t: Tensor) -> Tensor:
    """Noise is added at a rate that rises linearly, from 0.1 to 20 (Ho et al. 2020)."""
    return -torch.log(torch.expm1(0.1 * t + 9.95 * t.square()))


def cosine(t: Tensor) -> Tensor:
    """The part of the variance that is left is a squared cosine (Nichol and Dhariwal 2021)."""
    least = 0.008
    slope = math.pi / 2 / (1 + least)  # log(c^2 / (1 - c^2)), by 1 - c^2 = sin(t slope) sin((t + 2 least) slope) / ...
    lost = torch.sin(t * slope).log() + torch.sin((t + 2 * least) * slope).log()
    return 2 * torch.cos((t + least) * slope).log() - lost


def harmonic(t: Tensor) -> Tensor:
    """Of T steps, each erases 1 / T of the signal: beta_t = 1 / (T - t + 1) (Sohl-Dickstein et al. 2015)."""
    return torch.logit(1 - t)


def straight(t: Tensor) -> Tensor:
    """The log signal-to-noise ratio falls linearly, from 13.3 to -5 (Kingma et al. 2021)."""
    return 13.3 - 18.3 * t


SCHEDULES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": linear,
    "cosine": cosine,
    "harmonic": harmonic,
    "straight": straight,
}


class Fixed(nn.Module):
    """A schedule without parameters, within `LIMIT`.

    Args:
        name: key of SCHEDULES.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.schedule = SCHEDULES[name]

    def forward(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratios at times t, from 0 to 1, in the shape of t."""
        return self.schedule(t.clamp(LEAST_TIME, 1 - LEAST_TIME)).clamp(-LIMIT, LIMIT)

    def draw(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log signal-to-noise ratios for the bound in continuous time, and their derivatives by u.

        What is between the ends of a schedule does not change that bound. An even fall keeps its variance small, that
        of most schedules would not.
        """
        start, end = self(u.new_tensor([0.0, 1.0]))
        return start + (end - start) * u, (end - start).expand_as(u)


class Learned(nn.Module):
    """A falling schedule of straight pieces, which starts as `straight`: its ends and what is between are learned."""

    def __init__(self) -> None:
        super().__init__()
        start, end = straight(torch.tensor([0.0, 1.0]))
        self.start, self.log_fall = nn.Parameter(start), nn.Parameter((start - end).log())
        self.interior = nn.Parameter(torch.zeros(KNOTS))

    def forward(self, t: Tensor) -> Tensor:
        """Log signal-to-noise ratios at times t, from 0 to 1, in the shape of t."""
        pieces = self.interior.softmax(0)
        done = ((t.unsqueeze(-1) * KNOTS) - torch.arange(KNOTS, device=t.device)).clamp(0, 1)
        return self.start - self.log_fall.exp() * (done * pieces).sum(-1)

    def draw(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log signal-to-noise ratios for the bound in continuous time, and their derivatives by u."""
        with torch.enable_grad():
            t = u.detach().requires_grad_()
            log_snr = self(t)
            (slope,) = torch.autograd.grad(log_snr.sum(), t, create_graph=True)
        return log_snr, slope
