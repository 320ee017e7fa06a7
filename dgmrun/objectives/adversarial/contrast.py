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
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player
from dgmrun.protocols.values import Batch


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

    def __init__(self, model: nn.Module, optimization: Optimization, k: int, rate: float) -> None:
        super().__init__(model, optimization)
        check_size("k", k, 1, "objective")
        if rate <= 0:
            raise ValueError(f"`objective.rate` must be positive, but is {rate}")
        self.k, self.rate = k, rate

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
            return logistic_loss(*self.ratios(batch)), {}
        costs, terms = self.costs(batch)
        return costs.mean(), terms

    @torch.no_grad()
    def watched(self, batch: Batch) -> Tensor:
        """Returns the cost of each example, [batch]."""
        return self.costs(batch)[0]
