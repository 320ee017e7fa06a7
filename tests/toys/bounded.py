"""Toy: a bound without a density, bits given a Gaussian that nobody is shown."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from dgmrun.protocols.values import Batch, Event


class Bounded(nn.Module):
    """p(x | z) of independent bits, z ~ N(0, 1), q(z | x) linear."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        event.require(("binary",), "a bounded model of bits")
        self.event, self.encoder, self.decoder = event, nn.Linear(event.dims, 2), nn.Linear(1, event.dims)

    def bound(self, batch: Batch) -> Tensor:
        """KL(q || p) - E_q[log p(x | z)], by one draw, [batch]."""
        x = batch.x.flatten(1)
        mean, log_scale = self.encoder(x).chunk(2, -1)
        q = Normal(mean, log_scale.exp())
        log_px = Bernoulli(logits=self.decoder(q.rsample())).log_prob(x).sum(-1)
        return kl_divergence(q, Normal(0.0, 1.0)).sum(-1) - log_px

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """[num, *event.shape]."""
        z = torch.randn(num, 1).to(self.encoder.weight)
        return Bernoulli(logits=self.decoder(z)).sample().reshape(num, *self.event.shape)
