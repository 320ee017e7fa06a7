r"""The score-function estimator, also known as REINFORCE.

.. math:: \nabla_\phi E_{q_\phi(z)}[f(z)] = E_{q_\phi(z)}\Big[\sum_i (f_i(z) - b_i)\, \nabla_\phi \log q_\phi(z_i)\Big]

where f_i is the part of f that depends on z_i. The estimator is unbiased for any baseline b_i independent of z_i.

References:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning, eq. 6.
    Ranganath, Gerrish and Blei (2014), Black box variational inference, https://arxiv.org/abs/1401.0118.
    Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free!
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def score_function(f: Float[Tensor, "*samples weights"], log_q: Float[Tensor, "*samples units"]) -> Float[Tensor, ""]:
    """Surrogate objective, a mean over samples, whose gradient is the estimate; its value has no meaning.

    Args:
        f: f_i(z) - b_i at samples z of q, held constant; one weight for each unit, or one for all units.
        log_q: log q(z_i), which carries the gradient.
    """
    return (f.detach() * log_q).sum(-1).mean()


def leave_one_out(f: Float[Tensor, "samples *batch"]) -> Float[Tensor, "samples *batch"]:
    """Leave-one-out baseline of each of several independent samples: the mean over the others."""
    return (f.sum(0) - f) / (len(f) - 1)
