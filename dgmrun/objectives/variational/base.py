"""What objectives of a latent variable model share: its posterior, by nets or local, and the bound that they report."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributions import Bernoulli

from dgmrun.latent.draws import Draw, given
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.protocols.models import LatentVariableModel, Reparameterised
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch


class Variational(Objective, ABC):
    """An objective that traces the model with `k` samples of its posterior for each example.

    A model that is local has no posterior of its own: here is a table with a row for each training example, trained
    with everything else and kept in checkpoints alone.

    Args:
        model: a latent variable model.
        optimization: how parameters follow gradients.
        k: samples of z for each example.

    Raises:
        ValueError: `k` is below 1.
    """

    requires: ClassVar[type] = LatentVariableModel
    is_importance_weighted: ClassVar[bool] = False
    """Whether the bound is L_k; else it is the ELBO."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        self.k = k
        self.local: nn.Embedding | None = None

    def begin(self, data: Source) -> None:
        """Gives each example a row, where the posterior is local."""
        if isinstance(self.model, Reparameterised) and self.model.is_local:
            event: Any = self.model.event
            guess: Tensor = self.model.guess(next(self.model.parameters()).new_zeros(1, *event.shape))
            rows = guess.repeat(data.size, 1)  # type: ignore[attr-defined]
            self.local = nn.Embedding.from_pretrained(rows, freeze=False)

    def unscale(self) -> None:
        """A hook: turns off what multiplies the gradient by a known factor, and its variance by more."""

    def trace(self, batch: Batch, draw: Draw) -> Trace:
        """The model's trace of a batch."""
        local = None if self.local is None else self.local(batch.index)
        traced: Trace = self.model.trace(batch.x, draw, batch.context, local)  # type: ignore[operator]
        return traced

    def probe(self) -> Trace:
        """The trace of a dream, for what only a trace shows of the model."""
        x, z = self.model.dream(1)  # type: ignore[operator]
        is_local = isinstance(self.model, Reparameterised) and self.model.is_local
        traced: Trace = self.model.trace(x, given(z), None, self.model.guess(x) if is_local else None)  # type: ignore[operator]
        return traced

    def check_factorised(self) -> None:
        """Refuses a posterior of which units of a layer depend on each other.

        Raises:
            ValueError: names the key.
        """
        if not all(isinstance(q, Bernoulli) for q in self.probe().q):
            raise ValueError("`model.posterior` must be factorised for this objective, but is not")

    def check_dreams(self) -> None:
        """Refuses a model whose posterior is a table: dreams are not in it.

        Raises:
            ValueError: names the key.
        """
        if isinstance(self.model, Reparameterised) and self.model.is_local:
            raise ValueError("`model.posterior` must be amortised for a sleep update, but is local")

    def sleep(self, num: int) -> Tensor:
        """-log q(z|x) in nats per example, a mean over `num` dreams (x, z) of p, which it does not train.

        Source: Hinton, Dayan, Frey and Neal (1995), The wake-sleep algorithm for unsupervised neural networks.
        """
        x, z = self.model.dream(num)  # type: ignore[operator]
        log_q: Any = sum(self.model.trace(x, given(z)).log_q)  # type: ignore[operator]
        return -log_q.mean()
