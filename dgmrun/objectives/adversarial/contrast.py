"""Base class of games between an implicit posterior and a ratio net, both of which belong to the model.

The ratio net T learns by logistic regression to tell samples of q from those of what it is contrasted with, so that it
becomes the logarithm of the ratio of their densities. All else of the model is trained on T, held constant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dgmrun.latent.contrast import logistic_loss
from dgmrun.nn.settings import check_size
from dgmrun.objectives.adversarial.base import DECAY, ENOUGH
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player
from dgmrun.protocols.contrast import cures
from dgmrun.protocols.values import Batch

SURE = 0.05
"""Logistic loss in nats, of 2 log 2 at chance, below which T is taken to understate the ratio: samples that could tell
how large it is are too rare."""


class ContrastGame(Objective, ABC):
    """The ratio net makes a step on each batch, all else of the model on every k-th.

    Args:
        model: a model with an implicit posterior.
        optimization: optimiser settings; each player has its own optimiser.
        k: number of steps of the ratio net for each step of all else.
        rate: learning rate of the ratio net relative to that of all else.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    stops_by_watched: ClassVar[bool] = False
    """False: a poorly trained ratio net understates what it costs to leave the prior."""
    is_mean: ClassVar[bool] = False
    takes_bfloat16: ClassVar[bool] = False
    """False: samples of q would lie on a grid, by which the ratio net could tell them."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1, rate: float = 1.0) -> None:
        super().__init__(model, optimization)
        check_size("k", k, 1, "objective")
        if rate <= 0:
            raise ValueError(f"`objective.rate` must be positive, but is {rate}")
        self.k, self.rate = k, rate
        self.rank_state["moments"] = torch.zeros(2)
        """Running sums of the loss of the ratio net, and of 1."""

    @abstractmethod
    def ratios(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns T at samples of q and at as many of what q is contrasted with, [samples, batch] both."""

    @abstractmethod
    def costs(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns what all else descends the mean of, in nats, [batch], and named terms to log."""

    def players(self) -> list[Player]:
        """Returns the ratio net, and all else, which makes a step after every `k` steps of the ratio net."""
        model: Any = self.model
        ratio = model.ratio_parameters()
        rest = [part for part in self.trained_parameters() if part not in {*ratio}]
        return [Player("ratio", ratio, self.rate), Player("posterior", rest, every=self.k)]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the logistic loss of the ratio net, or the mean cost, each on new samples."""
        if name == "ratio":
            loss = logistic_loss(*self.ratios(batch))
            now = torch.stack((loss.detach(), torch.ones_like(loss)))
            self.rank_state["moments"].lerp_(now.to(self.rank_state["moments"]), 1 - DECAY)
            return loss, {}
        costs, terms = self.costs(batch)
        return costs.mean(), terms

    @torch.no_grad()
    def watched(self, batch: Batch) -> Tensor:
        """Returns the cost of each example, [batch]."""
        return self.costs(batch)[0]

    def doubts(self) -> list[str]:
        """Returns a warning if the ratio net tells nearly every sample of q from those that it is compared with."""
        total, weight = self.rank_state["moments"].tolist()
        if weight < ENOUGH or total >= SURE * weight:
            return []
        return [
            f"the ratio net tells nearly every sample of the posterior from what it is compared with: its loss is "
            f"{total / weight:.3f} nats, of 1.386 at chance, so that it understates the ratio of their densities; "
            f"{cures('lower optimizer.lr', self.model)}"
        ]
