r"""Lower bounds on log p(x) as functions of a Trace, in nats; each holds in expectation.

References:
    Kingma and Welling (2014), Auto-encoding variational Bayes, https://arxiv.org/abs/1312.6114, equations 3 and 10.
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519,
    equation 8.
    Cremer, Morris and Duvenaud (2017), Reinterpreting importance-weighted autoencoders,
    https://arxiv.org/abs/1704.02916, algorithm 1.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, kl_divergence

from dgmrun.latent.trace import Trace, by_unit


def divergences(trace: Trace) -> list[Tensor]:
    """Contributions of units to KL(q(z|x) || p(z)), layer by layer, [samples or 1, batch, units or 1], bottom first.

    The top layer's are in closed form if there is one. The other layers' are log q - log p at the samples, since p of
    a layer depends on the layer above.
    """
    *layers, top = zip(trace.q, trace.p, trace.z, strict=True)
    return [*(_log_ratio(*layer) for layer in layers), _divergence(*top)]


def has_closed_form(trace: Trace) -> bool:
    """Returns whether the KL divergence of the top layer has a closed form."""
    try:
        kl_divergence(trace.q[-1], trace.p[-1])
    except NotImplementedError:
        return False
    return True


def _divergence(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    try:
        kl = kl_divergence(q, p)
    except NotImplementedError:
        return _log_ratio(q, p, z)
    by_units = kl.unsqueeze(-1) if q.event_shape else kl
    return by_units if by_units.dim() == z.dim() else by_units.unsqueeze(0)


def _log_ratio(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    log_q, log_p = by_unit(q, z), by_unit(p, z)
    if log_q.shape[-1] != log_p.shape[-1]:  # one of them treats the layer as a single event
        log_q, log_p = log_q.sum(-1, keepdim=True), log_p.sum(-1, keepdim=True)
    return log_q - log_p


def elbo(trace: Trace) -> Float[Tensor, "samples batch"]:
    """log p(x|z) - KL(q(z|x) || p(z)) of each sample, the top layer's divergence in closed form if there is one."""
    return trace.log_px - sum(kl.sum(-1) for kl in divergences(trace))


def iwae(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, " batch"]:
    r""":math:`L_k = \log \frac{1}{k} \sum_i w_i`; its expectation rises with k, from the ELBO (k = 1) to log p(x)."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def resampled(trace: Trace) -> list[Tensor]:
    """Draws one of the k samples in proportion to its importance weight, [1, batch, units] for each layer.

    Its distribution is the expectation, over the other k - 1 samples, of the unnormalised density p(x, z) / mean(w).
    The expected ELBO of the latter is the bound `iwae`; the ELBO of its expectation is at least as large.
    """
    chosen = Categorical(logits=trace.log_w.t()).sample().reshape(1, -1, 1)
    return [z.take_along_dim(chosen, 0) for z in trace.z]
