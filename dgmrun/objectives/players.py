"""Who plays: each player moves parameters of its own, or some that others move too, down a loss of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import nn


class Player(NamedTuple):
    """Whose turn it is, and how often.

    Args:
        name: by which its loss is asked for, and logged.
        parameters: what it moves.
        rate: of its learning, over that which is configured.
        every: of so many optimiser steps the last is its own.
    """

    name: str
    parameters: list[nn.Parameter]
    rate: float = 1.0
    every: int = 1


class Seat(NamedTuple):
    """A player among the others.

    Args:
        player: who it is.
        constants: what is trained, but not by this player.
        moves_model: whether any of its parameters are the model's.
    """

    player: Player
    constants: list[nn.Parameter]
    moves_model: bool


def seats(players: Sequence[Player], trained: Sequence[nn.Parameter], model: nn.Module) -> list[Seat]:
    """The players in the order of play.

    Args:
        players: in this order.
        trained: all parameters that any of them may move.
        model: whose parameters are the model's.

    Raises:
        ValueError: two have one name, or batches would go by in which nobody plays.
    """
    names = [player.name for player in players]
    if len({*names}) < len(names) or all(player.every != 1 for player in players):
        raise ValueError(f"players must differ in name, and one play at every step, but are {', '.join(names)}")
    of_model = {*model.parameters()}
    return [
        Seat(player, [part for part in trained if part not in mine], not mine.isdisjoint(of_model))
        for player, mine in ((player, {*player.parameters}) for player in players)
    ]


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Within it, these parameters are constants."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
