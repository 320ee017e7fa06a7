"""Players of a game: each trains some of the parameters, possibly shared with others, on a separate loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import nn


class Player(NamedTuple):
    """A set of parameters, and when they are trained.

    Args:
        name: name of the player in `player_loss` and in logs.
        parameters: the parameters that it trains.
        rate: its learning rate relative to the configured one.
        every: number of optimiser steps for each step of this player, from its first turn on.
        first: number of optimiser steps before its turns begin.
        stop: number of optimiser steps after which it plays no more.
    """

    name: str
    parameters: list[nn.Parameter]
    rate: float = 1.0
    every: int = 1
    first: int = 0
    stop: float = math.inf

    def is_in(self, step: int) -> bool:
        """Returns whether it is in the game, after so many optimiser steps."""
        return self.first <= step < self.stop

    def plays(self, step: int) -> bool:
        """Returns whether it is this player's turn, after so many optimiser steps."""
        return self.is_in(step) and (step - self.first) % self.every == self.every - 1

    def age(self, step: int) -> int:
        """Returns how many steps its schedule has made after so many of the optimiser: one each from first to stop."""
        return int(max(0, min(step, self.stop) - self.first))


class Seat(NamedTuple):
    """A player, with what it needs to know about the others.

    Args:
        player: the player.
        constants: trainable parameters that this player does not train.
        moves_model: whether any of its parameters belong to the model.
    """

    player: Player
    constants: list[nn.Parameter]
    moves_model: bool


def seats(players: Sequence[Player], trained: Sequence[nn.Parameter], model: nn.Module) -> list[Seat]:
    """Returns the players in the order of play.

    Args:
        players: the players, in the order of play.
        trained: all parameters that any player may train.
        model: the model.

    Raises:
        ValueError: two players have the same name, or there are steps at which no player trains.
    """
    names = [player.name for player in players]
    if len({*names}) < len(names) or not _always(players):
        raise ValueError(f"players must differ in name, and one play at every step, but are {', '.join(names)}")
    of_model = {*model.parameters()}
    return [
        Seat(player, [part for part in trained if part not in mine], not mine.isdisjoint(of_model))
        for player, mine in ((player, {*player.parameters}) for player in players)
    ]


def _always(players: Sequence[Player]) -> bool:
    """Returns whether at every step some player plays that plays at each of its own."""
    reached = 0.0
    for player in sorted((player for player in players if player.every == 1), key=lambda player: player.first):
        if player.first <= reached:
            reached = max(reached, player.stop)
    return reached == math.inf


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Context manager within which these parameters do not require gradients."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
