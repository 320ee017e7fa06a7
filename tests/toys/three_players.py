"""Toy: three players, a generator and two critics of different slope."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import softplus

from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.players import Player
from dgmrun.protocols.models import ImplicitModel
from dgmrun.protocols.values import Batch


class ThreePlayers(Objective):
    """The generator plays against the sum of both critics."""

    requires: ClassVar[type] = ImplicitModel

    def __init__(self, model: nn.Module, optimization: Optimization, hidden: int = 8) -> None:
        super().__init__(model, optimization)
        event: Any = model.event
        self.critics = nn.ModuleList(
            [
                nn.Sequential(nn.Flatten(), nn.Linear(event.dims, hidden), act, nn.Linear(hidden, 1))
                for act in (nn.Tanh(), nn.ReLU())
            ]
        )

    def players(self) -> list[Player]:
        """Both critics, then the generator at every second turn."""
        critics = [Player(f"critic_{n}", list(net.parameters())) for n, net in enumerate(self.critics, 1)]
        return [*critics, Player("generator", list(self.model.parameters()), every=2)]

    def player_loss(self, name: str, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What a player descends."""
        model: Any = self.model
        sample = model.generate(model.noise(len(batch.x)))
        if name == "generator":
            return sum(softplus(-f(sample)).mean() for f in self.critics), {}  # type: ignore[return-value]
        f = self.critics[int(name[-1]) - 1]
        return softplus(-f(batch.x)).mean() + softplus(f(sample)).mean(), {}
