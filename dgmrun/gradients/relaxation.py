r"""Binary units b = H(zeta) as thresholded logistic variables zeta, which are differentiable in the logits a.

.. math:: \zeta = a + \log u - \log(1 - u), \qquad b = H(\zeta), \qquad P(b = 1) = \sigma(a)

and zeta given b is drawn likewise from another uniform variable v.

References:
    Maddison, Mnih and Teh (2017), The concrete distribution, https://arxiv.org/abs/1611.00712.
    Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein (2017), REBAR, https://arxiv.org/abs/1703.07370, appendix A.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-6
"""Smallest distance of uniform variables from 0 and 1."""

Units = Float[Tensor, "*samples units"]


def uniform(logits: Units) -> Units:
    """Draws uniform variables of the shape of `logits`, away from 0 and 1."""
    return torch.rand_like(logits).clamp_(LEAST, 1 - LEAST)


def logistic(logits: Units, u: Units) -> Units:
    """Returns zeta, given uniform variables u."""
    return logits + torch.logit(u)


def conditional(logits: Units, b: Units, v: Units) -> Units:
    """Returns zeta conditional on b, given uniform variables v: H(zeta) = b, and its marginal is that of `logistic`."""
    off = torch.sigmoid(-logits)
    within = torch.where(b > 0, off + v * (1 - off), v * off)
    return logistic(logits, within.clamp(LEAST, 1 - LEAST))
