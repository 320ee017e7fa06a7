r"""Adversarial training of a model that draws in stages, such as a Laplacian pyramid: a game for each of them.

In each game, generator and critic are given what the stages before would have drawn of the same example, so that no
game depends on another. The best critic of stage k is

.. math:: f_k(x_k, c_k) = \log p_{data}(x_k | c_k) - \log p_k(x_k | c_k)

and where every generator is right, so is the model.

References:
    Denton, Chintala, Szlam and Fergus (2015), Deep generative image models using a Laplacian pyramid of adversarial
    networks, https://arxiv.org/abs/1506.05751, equation 3 and section 3.2.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from torch import nn

from dgmrun.objectives.adversarial.critic import Critic
from dgmrun.objectives.adversarial.game import Game
from dgmrun.objectives.adversarial.log_odds import LogOdds
from dgmrun.objectives.base import Optimization
from dgmrun.protocols.staged import Staged
from dgmrun.protocols.values import Batch


class LAPGAN(LogOdds):
    """Minimises a Jensen-Shannon divergence of each stage, on average over what it is given.

    Args:
        model: a model that draws in stages.
        optimization: optimiser settings.
        critic: settings of each critic.
        k: number of critic steps for each generator step.
        loss: loss of the generators, as of `LogOdds`.
        smoothing: one-sided label smoothing.
        r1: gamma of the penalty at examples.
        stage_steps: number of optimiser steps of each stage, one after another, the last without an end; None for all
            stages at once.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Staged
    stage_steps: int | None = None

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        critic: Critic,
        k: int = 1,
        loss: str = "non_saturating",
        smoothing: float = 0.0,
        r1: float = 0.0,
        stage_steps: int | None = None,
    ) -> None:
        super().__init__(model, optimization, critic, k, loss, smoothing, r1)
        if stage_steps is not None and (type(stage_steps) is not int or stage_steps < k):
            raise ValueError(
                f"`objective.stage_steps` must be null or a whole number of at least objective.k = {k}, "
                f"but is {stage_steps}"
            )
        self.stage_steps = stage_steps

    def net(self, critic: Critic) -> nn.ModuleList:
        """Makes a critic for each stage.

        Raises:
            ValueError: a setting does not suit one; the message names a cure if the last stage has none of this.
        """
        model: Any = self.model
        *_, last = stages = model.stages()
        try:
            return nn.ModuleList(critic.net(stage.event, stage.context) for stage in stages)
        except ValueError as error:
            critic.net(last.event, last.context)
            raise ValueError(f"{error}: model.levels=1 has no smaller ones than {[*last.event.shape[1:]]}") from None

    def games(self) -> list[Game]:
        """Returns the game of each stage: all go on at once, or one after another."""
        model: Any = self.model
        critics: Any = self.critic
        steps, last = self.stage_steps, len(critics) - 1
        return [
            Game(
                critic,
                stage,
                f"{place}",
                partial(self._view, place),
                first=place * (steps or 0),
                stop=math.inf if steps is None or place == last else (place + 1) * steps,
            )
            for place, (critic, stage) in enumerate(zip(critics, model.stages(), strict=True))
        ]

    def _view(self, place: int, batch: Batch) -> Batch:
        """Returns what a stage draws of examples, and what it is given."""
        model: Any = self.model
        part: Batch = model.staged(batch)[place]
        return part
