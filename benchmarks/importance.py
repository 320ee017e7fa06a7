"""Importance-weighted log-likelihoods of a VAE 784-(300 x 3)-50 and of a sigmoid belief network 784-200."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal

from benchmarks._compare import Comparison
from dgmrun.command.process import keep_memory
from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.models.sbn import SBN
from dgmrun.models.vae import VAE
from dgmrun.protocols.values import Batch, Event, Evidence

EVENT = Event((784,), "binary")
LogWeights = Callable[[Any, Tensor, int], Tensor]
"""Log importance weights [samples, batch] of a model, as one writes them in an afternoon."""


def comparisons(data: list[str], quick: bool) -> list[Comparison]:
    """Pairs of an example and a sample a second, beside blocks of torch.distributions of 100 samples."""
    keep_memory()
    num, samples = (10, 500) if quick else (30, 5000)
    x = (torch.rand(num, 784) < 0.13).float()
    vae, sbn = VAE(EVENT, latent=[50], hidden=[300], depth=3), SBN(EVENT, hidden=[200])
    rows: list[tuple[str, Any, LogWeights]] = [("VAE", vae, of_vae), ("SBN", sbn, of_sbn)]
    return [
        Comparison(
            f"importance, {name}, plain torch",
            "pairs/s",
            partial(ours, model, x, samples),
            partial(plain, model, log_w, x, samples),
        )
        for name, model, log_w in rows
    ]


def ours(model: Any, x: Tensor, samples: int) -> float:
    """Pairs a second of the method `importance`."""
    batch = Batch(x, torch.arange(len(x)))
    start = perf_counter()
    Importance(num_samples=samples)(model, Evidence(batch, batch))
    return samples * len(x) / (perf_counter() - start)


@torch.no_grad()
def plain(model: Any, log_w: LogWeights, x: Tensor, samples: int) -> float:
    """Pairs a second of a loop over blocks of 100 samples of all examples."""
    start = perf_counter()
    torch.cat([log_w(model, x, 100) for _ in range(samples // 100)]).double().logsumexp(0)
    return samples * len(x) / (perf_counter() - start)


def of_vae(vae: Any, x: Tensor, num: int) -> Tensor:
    """Of a VAE with one layer."""
    mean, log_scale = vae.encoders[0](x).chunk(2, -1)
    q, p = Normal(mean, log_scale.exp()), Normal(0.0, 1.0)
    z = q.sample((num,))
    h = z
    for layer in vae.decoders[0]:
        h = layer(h) if isinstance(layer, nn.Linear) else h if isinstance(layer, nn.Unflatten) else torch.tanh(h)
    x_given_z = Bernoulli(logits=h)
    return x_given_z.log_prob(x).sum(-1) + (p.log_prob(z) - q.log_prob(z)).sum(-1)


def of_sbn(sbn: Any, x: Tensor, num: int) -> Tensor:
    """Of a sigmoid belief network with one layer."""
    q, p = Bernoulli(logits=sbn.encoders[0].net(x - sbn.mean)), Bernoulli(logits=sbn.top.net(None))
    z = q.sample((num,))
    x_given_z = Bernoulli(logits=sbn.decoders[0].net(2 * z - 1))
    return x_given_z.log_prob(x).sum(-1) + (p.log_prob(z) - q.log_prob(z)).sum(-1)
