"""Toy: an unnormalised top over latent layers, bits given bits of a Boltzmann machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

from dgmrun.latent.trace import Trace
from dgmrun.models.dbn import Unnormalised
from dgmrun.models.rbm import RBM
from dgmrun.protocols.values import Batch, Event


class Topped(nn.Module):
    """p(x, z) = p(x | z) f(z) / Z with f that of an RBM; a belief net of two layers."""

    def __init__(self, event: Event, latent: int = 4, hidden: int = 3) -> None:
        super().__init__()
        event.require(("binary",), "a belief net")
        self.event, self.encoder, self.decoder = event, nn.Linear(event.dims, latent), nn.Linear(latent, event.dims)
        self.rbm = RBM(Event((latent,), "binary"), hidden)

    def _inferred(self, x: Tensor) -> Any:
        return Independent(Bernoulli(logits=self.encoder(x.flatten(1)), validate_args=False), 1)

    def trace(self, x: Tensor, draw: Any, context: None = None, local: None = None) -> Trace:
        """log p of the top lacks minus log Z."""
        q = self._inferred(x)
        z = draw(0, q)
        log_px = Bernoulli(logits=self.decoder(z), validate_args=False).log_prob(x.flatten(1)).sum(-1)
        return Trace([z], [q], [Unnormalised(self.rbm)], log_px)

    def top(self, x: Tensor) -> tuple[RBM, Tensor]:
        """The RBM, and bits of the posterior."""
        return self.rbm, self._inferred(x).sample()

    @torch.no_grad()
    def descend(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Down from the top."""
        return Bernoulli(logits=self.decoder(z)).sample().reshape(-1, *self.event.shape), [z.unsqueeze(0)]

    def training_loss(self, batch: Batch) -> Tensor:
        """Wake-sleep below, contrastive divergence on top, [batch]."""
        q = self._inferred(batch.x)
        z = q.sample()
        log_px = Bernoulli(logits=self.decoder(z)).log_prob(batch.x.flatten(1)).sum(-1)
        contrast = self.rbm.log_unnormalised(self.rbm.walk(z, 1)) - self.rbm.log_unnormalised(z)
        with torch.no_grad():
            dreamt = self.rbm.walk(z, 1)
            x = Bernoulli(logits=self.decoder(dreamt)).sample()
        return contrast - log_px - self._inferred(x).log_prob(dreamt)

    def stack(self) -> list[nn.Module]:
        """Bottom first."""
        return [self, self.rbm]
