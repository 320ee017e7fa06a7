r"""Learning signals of score-function estimators of the ELBO's gradient, layer by layer.

.. math:: \nabla \mathrm{ELBO} = E_q\Big[\nabla \log p(x, z) + \sum_l s_l \nabla \log q(z_l \mid z_{l-1})\Big], \qquad
          s_l = \log p(z_{l-1} \mid z_l) + \cdots + \log p(z_L) - \sum_{j \ge l} \log q(z_j \mid z_{j-1}), \quad z_0 = x

Terms that are known before z_l is drawn are left out of s_l, since the gradient of log q(z_l | z_l-1) has mean 0.

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030, section 2.3 and equation 14.
    Ranganath, Gerrish and Blei (2014), Black box variational inference, https://arxiv.org/abs/1401.0118, section 3.1.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal

from dgmrun.latent.bounds import divergences
from dgmrun.latent.trace import Trace


class Learning(NamedTuple):
    """Terms of the gradient estimator, for samples of the posterior.

    Args:
        direct: log p(x, z), which is differentiated directly, [samples, batch].
        signals: learning signal s_l of each layer, bottom first, [samples, batch].
    """

    direct: Tensor
    signals: list[Tensor]


def learning(trace: Trace, analytic: bool = False) -> Learning:
    """Computes the terms of the gradient estimator.

    Args:
        trace: trace of samples, which carry no gradient.
        analytic: whether to replace log p - log q of the top layer by minus its KL divergence in closed form, both in
            `direct`, where it is differentiated, and in the signals of the layers below.
    """
    log_p, log_q = trace.log_p, trace.log_q
    top = -divergences(trace)[-1].sum(-1) if analytic else log_p[-1] - log_q[-1]
    terms = [p - q for p, q in zip(log_p[:-2], log_q[:-1], strict=True)] + [log_p[-2] + top]
    signals = list(accumulate(reversed(terms)))[::-1]
    if analytic:
        signals[-1] = log_p[-2]
    return Learning(sum(log_p[:-1]) + (top if analytic else log_p[-1]), signals)


def is_independent(distribution: Distribution) -> bool:
    """Returns whether the units of the distribution are independent of each other."""
    return isinstance(distribution, (Bernoulli, Normal))


def rao_blackwellised(trace: Trace, signals: list[Tensor], analytic: bool = False) -> list[Tensor]:
    """Learning signal of each unit, [samples, batch, units or 1], from that of its layer, [samples, batch].

    Terms of the other units in its layer are left out: their -log q and, in the top layer, their log p.

    Args:
        trace: trace in which the units of each layer of the posterior are independent.
        signals: s_l, or the whole bound for every layer.
        analytic: value of `analytic` with which the signals were computed.
    """
    own = [-log_q for log_q in trace.log_q_units]
    if analytic:
        own[-1] = own[-1].new_zeros(())
    elif is_independent(trace.p[-1]):
        own[-1] = own[-1] + trace.p[-1].log_prob(trace.z[-1])
    return [(s - o.sum(-1)).unsqueeze(-1) + o for s, o in zip(signals, own, strict=True)]
