"""Persistent contrastive divergence: the surrogate loss of `contrast`, with chains that are never restarted.

The chains of a model of two layers keep the hidden one, drawn with the probabilities of which the gradient is made, so
that PCD-1 costs five products of a batch with the weights where chains of x alone cost six.

References:
    Tieleman (2008), Training restricted Boltzmann machines using approximations to the likelihood gradient.
    Younes (1989), Parametric inference for imperfectly observed Gibbsian fields.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn.binary import bernoulli
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast, difference
from dgmrun.protocols.models import Learnable
from dgmrun.protocols.samplers import TwoLayers
from dgmrun.protocols.sources import Source
from dgmrun.protocols.values import Batch, Event


class PCD(Objective):
    """PCD-k: nearly unbiased as long as the chains keep up with the parameters, which requires a small learning rate.

    Args:
        model: an unnormalised density.
        optimization: optimiser settings.
        k: number of Gibbs steps per iteration, at least 1.
        num_chains: number of chains of all processes together; null for the batch size.

    Raises:
        ValueError: `k` or `num_chains` is below 1.
    """

    requires: ClassVar[type] = Learnable
    takes_bfloat16: ClassVar[bool] = False
    is_mean: ClassVar[bool] = False
    """False: the chains are those of all batches."""
    captions: ClassVar[dict[str, tuple[str, ...]]] = {"chains": ("x", "chain", "dimension")}

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1, num_chains: int | None = None) -> None:
        super().__init__(model, optimization)
        for key, value in (("k", k), ("num_chains", num_chains)):
            if value is not None and value < 1:
                raise ValueError(f"`objective.{key}` must be at least 1, but is {value}")
        self.k, self.num_chains = k, num_chains
        self.keeps_hidden = isinstance(model, TwoLayers)

    def begin(self, data: Source) -> None:
        """Initialises this process's share of the chains with random zeros and ones, which every kind of event allows.

        Raises:
            ValueError: the chains cannot be divided equally among the processes.
        """
        num = self.num_chains or data.batch_size
        if num % data.world_size:
            raise ValueError(
                f"`objective.num_chains` must be a multiple of the {data.world_size} processes, but is {num}"
            )
        start = torch.rand(num // data.world_size, *self.event.shape).round()
        chains = self.event.seen(start, next(self.model.parameters()))
        self.rank_state["chains"] = chains.bool() if self.event.kind == "binary" else chains
        if self.keeps_hidden:
            with torch.no_grad():
                _, p = self.model.scored(chains.flatten(1))  # type: ignore[operator]
                self.rank_state["hidden"] = bernoulli(p).bool()

    @property
    def event(self) -> Event:
        """Event of a state."""
        event: Event = self.model.event  # type: ignore[assignment]
        return event

    @property
    def chains(self) -> Tensor:
        """The chains of this process [chains, *event.shape], in the dtype of batches."""
        return self.event.seen(self.rank_state["chains"], next(self.model.parameters()))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Advances the chains by k steps; returns the contrast between the data and the chains."""
        return (self._by_layers if self.keeps_hidden else self._by_states)(batch.x), {}

    def _by_states(self, x: Tensor) -> Tensor:
        walked = self.model.walk(self.chains, self.k)  # type: ignore[operator]
        self.rank_state["chains"].copy_(walked)
        return contrast(self.model, x, walked)

    def _by_layers(self, x: Tensor) -> Tensor:
        """The same, with chains that go on from h, drawn at the parameters before: the first half-sweep is h -> x."""
        model: Any = self.model
        chains, h = self.rank_state["chains"], self.rank_state["hidden"]
        with torch.no_grad():
            start = model.draw_visible(h.view(torch.uint8).to(next(model.parameters())))  # from bool it is slow
            walked = model.walk(start.reshape(chains.shape), self.k - 1)
        chains.copy_(walked)
        log_f, p = model.scored(torch.cat([x, walked]).flatten(1))
        h.copy_(bernoulli(p[len(x) :].detach()))
        return difference(log_f, len(x))

    def own_pictures(self) -> dict[str, Tensor]:
        """Returns the chains."""
        return {"chains": self.chains}
