r"""What a score-function estimator of the ELBO's gradient is made of, layer by layer.

.. math:: \nabla \mathrm{ELBO} = E_q\Big[\nabla \log p(x, z) + \sum_l s_l \nabla \log q(z_l \mid z_{l-1})\Big], \qquad
          s_l = \log p(z_{l-1} \mid z_l) + \cdots + \log p(z_L) - \sum_{j \ge l} \log q(z_j \mid z_{j-1}), \quad z_0 = x

What is known before z_l is drawn is left out of s_l, since log q(z_l | z_l-1) has a gradient of mean 0.

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030, section 2.3 and equation 14.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from torch import Tensor

from dgmrun.bounds import divergences
from dgmrun.trace import Trace


class Learning(NamedTuple):
    """Of samples of the posterior.

    Args:
        direct: log p(x, z), whose gradient is taken as it is, [samples, batch].
        log_q: of each layer, bottom first, with their gradients, [samples, batch].
        signals: s_l of each layer, [samples, batch].
    """

    direct: Tensor
    log_q: list[Tensor]
    signals: list[Tensor]


def learning(trace: Trace, analytic: bool = False) -> Learning:
    """The parts of the estimator.

    Args:
        trace: of samples, which carry no gradient.
        analytic: whether minus the divergence of the top layer, in closed form, stands for its log p - log q: in
            `direct`, where its gradient is taken as it is, and in the signals of the layers below.
    """
    log_p, log_q = trace.log_p, trace.log_q
    top = -divergences(trace)[-1].sum(-1) if analytic else log_p[-1] - log_q[-1]
    terms = [p - q for p, q in zip(log_p[:-2], log_q[:-1], strict=True)] + [log_p[-2] + top]
    signals = list(accumulate(reversed(terms)))[::-1]
    if analytic:
        signals[-1] = log_p[-2]
    return Learning(sum(log_p[:-1]) + (top if analytic else log_p[-1]), log_q, signals)
