r"""A pinwheel: K Gaussian blades around the origin, the outer parts of which are turned further.

.. math:: x = 2\, R(2 \pi k / K + e^{|z|} / 4)\, z, \qquad z \sim N((1, 0), \mathrm{diag}(0.3^2, 0.1^2))

R(a) turns by an angle a, and k is any blade. What turns every circle around the origin as a whole leaves areas as they
are, so that the density is that of z, over 4. Of Johnson, Duvenaud, Wiltschko, Datta and Adams 2016, Composing
graphical models with neural networks (https://github.com/mattjj/svae), who turn by z_1 in place of |z|, so
that a density asks for a root; twice as large, as for FFJORD (https://github.com/rtqichen/ffjord, lib/toy_data.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Normal

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

MEAN, DEVIATION, RATE, SCALE = (1.0, 0.0), (0.3, 0.1), 0.25, 2.0


def load(data_dir: Path, sizes: Sequence[int], blades: int) -> Splits:
    """Draws x [N, 2], and y, which of the blades it is on.

    Args:
        data_dir: unused.
        sizes: number of examples in train, valid and test.
        blades: number of blades K.
    """
    _check(blades)

    def draw(size: int) -> Split:
        y, z = torch.randint(blades, (size,)), torch.tensor(MEAN) + torch.tensor(DEVIATION) * torch.randn(size, 2)
        return Split(SCALE * _turned(z, _angles(z, y, blades)), y)

    return drawn("pinwheel", sizes, draw)


def labels(sizes: Sequence[int], blades: int) -> Event:
    """Returns the event of y, the blade."""
    _check(blades)
    return Event((), "categorical", blades)


def log_density(x: Tensor, blades: int) -> Tensor:
    """Returns log p(x) in nats, [batch]."""
    z = x[:, None] / SCALE
    back = _turned(z, -_angles(z, torch.arange(blades), blades))
    blade = Normal(x.new_tensor(MEAN), x.new_tensor(DEVIATION), validate_args=False)
    return blade.log_prob(back).sum(-1).logsumexp(1) - math.log(blades * SCALE**2)


def _check(blades: int) -> None:
    """Raises Mistake if there is no blade."""
    if blades < 1:
        raise Mistake(f"`dataset.blades` must be at least 1, but is {blades}")


def _angles(z: Tensor, blade: Tensor, blades: int) -> Tensor:
    return math.tau / blades * blade + RATE * z.norm(dim=-1).exp()


def _turned(z: Tensor, angle: Tensor) -> Tensor:
    """Returns z [..., 2], turned by an angle."""
    return torch.view_as_real(torch.view_as_complex(z.contiguous()) * torch.polar(torch.ones_like(angle), angle))
