r"""The score-function estimator, REINFORCE.

.. math:: \nabla_\phi E_{q_\phi(z)}[f(z)] = E_{q_\phi(z)}[(f(z) - b)\, \nabla_\phi \log q_\phi(z)]

for any b that does not depend on z: unbiased.

References:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist reinforcement learning, eq. 6.
    Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free!
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def score_function(f: Float[Tensor, "samples *batch"], log_q: Float[Tensor, "samples *batch"]) -> Float[Tensor, ""]:
    """A surrogate, a mean over samples: its gradient is the estimate, its value means nothing.

    Args:
        f: f(z) - b of samples z of q, held fixed.
        log_q: log q(z), which carries the gradient.
    """
    return (f.detach() * log_q).mean()


def leave_one_out(f: Float[Tensor, "samples *batch"]) -> Float[Tensor, "samples *batch"]:
    """A baseline for each of several independent samples: the mean of the others."""
    return (f.sum(0) - f) / (len(f) - 1)
