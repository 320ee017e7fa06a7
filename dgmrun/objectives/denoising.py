r"""Denoising: the reconstruction of examples from corruptions of them, along a walk of the model's own chain.

.. math:: -\frac{1}{K} \sum_{k=1}^{K} \log p(x \mid \tilde x_k), \qquad
          \tilde x_k \sim C(\tilde x \mid x_{k-1}), \quad x_k \sim p(x \mid \tilde x_k), \quad x_0 = x

With K = 1 it is the denoising criterion; further steps, called walkback, teach the chain to return from where it strays
to. The law of a chain whose p(x | x~) is the posterior is that of the data, whatever the corruption.

References:
    Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing robust features with denoising
    autoencoders.
    Bengio, Yao, Alain and Vincent (2013), Generalized denoising auto-encoders as generative models,
    https://arxiv.org/abs/1305.6663, algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.latent.chain import chain_bound
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.protocols.values import Batch


@runtime_checkable
class Denoiser(Protocol):
    """A chain of two half-steps, of which the first is known and the second learned."""

    def corrupt(self, x: Tensor) -> Tensor:
        """Draws x~ from C(x~ | x), [batch, *event.shape]."""

    def log_corruption(self, corrupted: Tensor, x: Tensor) -> Tensor | None:
        """log C(x~ | x) of every pair, [corrupted, batch]; None if C cannot reach every x~ from every x."""

    def reconstruction(self, corrupted: Tensor) -> Distribution:
        """p(x | x~), dimension by dimension, [batch, D]."""


class Denoising(Objective):
    """Minimises the mean of -log p(x | x~), in nats per example; logs `chain_bound` of the first step.

    Its prior is the other examples of the batch.

    Args:
        model: a denoiser.
        optimization: optimiser settings.
        walkback: number K of steps of the walk, whose corruptions are all to be undone; the cost is in proportion.

    Raises:
        ValueError: `walkback` is below 1.
    """

    requires: ClassVar[type] = Denoiser

    def __init__(self, model: nn.Module, optimization: Optimization, walkback: int = 1) -> None:
        super().__init__(model, optimization)
        if walkback < 1:
            raise ValueError(f"`objective.walkback` must be at least 1, but is {walkback}")
        self.walkback = walkback

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the mean over the examples and the steps."""
        first, log_px = self.walked(batch.x)
        log_q = self.model.log_corruption(first, batch.x)  # type: ignore[operator]
        terms = {} if log_q is None else {"chain_bound": chain_bound(log_q, log_px[0].detach()).mean()}
        return -log_px.mean(), terms

    def watched(self, batch: Batch) -> Tensor:
        """Returns the loss of each example, [batch]."""
        return -self.walked(batch.x)[1].mean(0)

    def walked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the first corruption of each example, and log p(x | x~) at every step, [steps, batch]."""
        state, corrupted, log_px = x, [], []
        for _ in range(self.walkback):
            corrupted.append(self.model.corrupt(state))  # type: ignore[operator]
            law = self.model.reconstruction(corrupted[-1])  # type: ignore[operator]
            log_px.append(law.log_prob(x.reshape(len(x), -1)).sum(-1))
            state = law.sample().reshape(x.shape).to(x)
        return corrupted[0], torch.stack(log_px)
