r"""The score-function estimator, REINFORCE.

.. math:: \nabla_\theta E_{q_\theta}[f(x)] = E_{q_\theta}[(f(x) - b)\, \nabla_\theta \log q_\theta(x)]

for any b that does not depend on x. Here b is the mean of the other samples' f, which leaves the mean as it is.

References:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning, eq. 6.
    Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free!
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def score_function(f: Float[Tensor, "samples"], log_q: Float[Tensor, "samples"]) -> Float[Tensor, ""]:
    """A surrogate: its gradient is the estimate, its value means nothing.

    Args:
        f: f(x) of independent samples x of q, at least two, held fixed.
        log_q: log q(x), which carries the gradient.
    """
    f = f.detach()
    others = (f.sum() - f) / (len(f) - 1)
    return ((f - others) * log_q).mean()
