"""A game of a critic against a generator, as a value: of these an adversarial objective has one or several."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from dgmrun.protocols.values import Batch

Function = Callable[[Tensor], Tensor]
"""A critic that knows the contexts: maps inputs [batch, *event.shape] to outputs [batch]."""


class Game(NamedTuple):
    """Who plays, on what, and when.

    Args:
        critic: network from examples, and contexts if any, to outputs [batch, 1].
        generator: an implicit model of what the critic sees.
        name: what tells the game from others; empty if it is the only one.
        view: what the game sees of a batch.
        first: number of optimiser steps before it begins.
        stop: number of optimiser steps after which it is over.
    """

    critic: nn.Module
    generator: Any
    name: str = ""
    view: Callable[[Batch], Batch] = lambda batch: batch
    first: int = 0
    stop: float = math.inf

    def of(self, role: str) -> str:
        """Returns the name of a player, or of a state, of this game."""
        return f"{role}_{self.name}" if self.name else role

    def f(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the critic's output for each input, [batch]."""
        output: Tensor = self.critic(x) if context is None else self.critic(x, context)
        return output.squeeze(-1)

    def told(self, context: Tensor | None) -> Function:
        """Returns the critic as a function of x alone."""
        return partial(self.f, context=context)

    def generated(self, num: int, context: Tensor | None = None) -> Tensor:
        """Returns samples of the generator, differentiable in its parameters."""
        x: Tensor = self.generator.generate(self.generator.noise(num), context)
        return x
