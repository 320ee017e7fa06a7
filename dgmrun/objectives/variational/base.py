"""Base class of objectives of latent variable models: amortised or local posteriors, and the bound to report."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from dgmrun.latent.draws import Draw, given
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.protocols.models import LatentVariableModel, Reparameterised, context_of
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


class Variational(Objective, ABC):
    """An objective that evaluates the model at `k` samples of the posterior for each example.

    If the posterior is local, the objective holds its parameters, a row for each training example. They are trained
    with all other parameters, and saved only in checkpoints.

    Args:
        model: a latent variable model.
        optimization: optimiser settings.
        k: number of samples of z for each example.

    Raises:
        ValueError: `k` is below 1.
    """

    requires: ClassVar[type] = LatentVariableModel
    is_importance_weighted: ClassVar[bool] = False
    """Whether the bound is L_k rather than the ELBO."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        self.k = k
        self.local: nn.Embedding | None = None

    def begin(self, data: Source) -> None:
        """Initialises the parameters of a local posterior, a row for each example."""
        if isinstance(self.model, Reparameterised) and self.model.is_local:
            event: Any = self.model.event
            guess: Tensor = self.model.guess(next(self.model.parameters()).new_zeros(1, *event.shape))
            rows = guess.repeat(data.size, 1)  # type: ignore[attr-defined]
            self.local = nn.Embedding.from_pretrained(rows, freeze=False)

    def unscale(self) -> None:
        """Switches off any scaling of the gradient by a known factor, for comparisons of variance. Hook."""

    def trace(self, batch: Batch, draw: Draw) -> Trace:
        """Returns the model's trace of a batch, what z costs included."""
        local = None if self.local is None else self.local(batch.index)
        traced: Trace = self.model.trace(batch.x, draw, batch.context, local)  # type: ignore[operator]
        return traced.charged()

    def probe(self) -> Trace:
        """Returns the trace of one ancestral sample, to inspect layers and their distributions."""
        told, like = context_of(self.model), next(self.model.parameters())
        context = None if told is None else torch.zeros(1, *told.shape, dtype=told.dtype, device=like.device)
        x, z = self.model.dream(1, context)  # type: ignore[operator]
        is_local = isinstance(self.model, Reparameterised) and self.model.is_local
        local = self.model.guess(x, context) if is_local else None  # type: ignore[operator]
        traced: Trace = self.model.trace(x, given(z), context, local)  # type: ignore[operator]
        return traced

    def check_factorised(self) -> None:
        """Refuses a posterior with dependencies between units of the same layer.

        Raises:
            ValueError: the posterior is not factorised; the message names the key.
        """
        if not all(isinstance(q, Bernoulli) for q in self.probe().q):
            raise ValueError("`model.posterior` must be factorised for this objective, but is not")

    def check_dreams(self) -> None:
        """Refuses a local posterior, which is not defined for samples of the model.

        Raises:
            ValueError: the posterior is local; the message names the key.
        """
        if isinstance(self.model, Reparameterised) and self.model.is_local:
            raise ValueError("`model.posterior` must be amortised for a sleep update, but is local")

    def sleep(self, batch: Batch) -> Tensor:
        """Returns -log q(z|x) in nats per example, averaged over dreams: samples (x, z) of p, held fixed.

        There are as many dreams as examples in the batch, with the same contexts.

        Source: Hinton, Dayan, Frey and Neal (1995), The wake-sleep algorithm for unsupervised neural networks.
        """
        x, z = self.model.dream(len(batch.x), batch.context)  # type: ignore[operator]
        log_q: Any = sum(self.model.trace(x, given(z), batch.context).log_q)  # type: ignore[operator]
        return -log_q.mean()
