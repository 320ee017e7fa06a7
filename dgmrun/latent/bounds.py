r"""Bounds on log p(x) as functions of a Trace, in nats; all are below log p(x) in the mean.

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
    """What each unit of each layer adds to KL(q(z|x) || p(z)), [samples or 1, batch, units or 1], bottom first.

    That of the top layer is in closed form, where it has one; the others are log q - log p of the samples, since
    the distribution that p gives a layer depends on the layer above.
    """
    *layers, top = zip(trace.q, trace.p, trace.z, strict=True)
    return [*(_log_ratio(*layer) for layer in layers), _divergence(*top)]


def has_closed_form(trace: Trace) -> bool:
    """Whether the divergence of the top layer has one."""
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
    if log_q.shape[-1] != log_p.shape[-1]:  # one of them has the layer as one event
        log_q, log_p = log_q.sum(-1, keepdim=True), log_p.sum(-1, keepdim=True)
    return log_q - log_p


def elbo(trace: Trace) -> Float[Tensor, "samples batch"]:
    """log p(x|z) - KL(q(z|x) || p(z)), the divergence of the top layer in closed form."""
    return trace.log_px - sum(kl.sum(-1) for kl in divergences(trace))


def iwae(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, " batch"]:
    r""":math:`L_k = \log \frac{1}{k} \sum_i w_i`: between the ELBO (k = 1) and log p(x), and nondecreasing in k."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))


def resampled(trace: Trace) -> list[Tensor]:
    """One z of the k, drawn in proportion to its weight, [1, batch, units] for each layer.

    Given the other k - 1 samples, the ELBO of its unnormalised density is the bound `iwae`; that of the posterior which
    it follows in the mean over them is no smaller.
    """
    chosen = Categorical(logits=trace.log_w.t()).sample().reshape(1, -1, 1)
    return [z.take_along_dim(chosen, 0) for z in trace.z]
