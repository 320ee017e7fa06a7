"""What the examples of a dataset sound like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Sound(NamedTuple):
    """Examples as sounds; the module of a dataset has a function `sound(**its own settings)` that returns it.

    Args:
        rate: samples of a second.
        wave: amplitudes, from -1 to 1, of examples as they are shown, from 0 to 1, of the same shape.
    """

    rate: int
    wave: Callable[[Tensor], Tensor]
