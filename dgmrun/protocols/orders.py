"""Protocols of models that know more than one order of the dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class OrderEnsemble(Protocol):
    """A density that is a mean over orders of its dimensions, as figures of it say."""

    def num_orders(self) -> int:
        """Number of orders."""


@runtime_checkable
class Orderless(Protocol):
    """A model that has the conditionals of every order of its dimensions."""

    def log_conditionals(self, x: Tensor, seen: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x_d | x_S) of every dimension d, [batch, D], where S is where `seen` [batch, D] is 1.

        Those of d in S are not used.
        """
