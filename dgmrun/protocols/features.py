"""Features of examples, by which distributions are compared: what a model can do, and what methods are handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Featured(Protocol):
    """A model that has features of the examples of its dataset, such as a classifier."""

    def features(self, x: Tensor) -> Tensor:
        """Features of x of the dataset, as the model sees it, be it its event or its context: [batch, features]."""


class Features(NamedTuple):
    """A map of examples in original units to their features.

    Args:
        of: maps examples [num, ...] in original units to features [num, F], in float64, on the CPU; those of equal
            examples of one call are equal to the bit.
        told: what they are, as settings of a figure: run, step and sha256 of the weights; or that they are x itself.
    """

    of: Callable[[Tensor], Tensor]
    told: Mapping[str, Any]


X = "standardised x"
"""What features are if no run is named."""


def named(settings: Mapping[str, Any]) -> str | None:
    """Returns the features that a figure of these settings rests on, in a few words; None if it rests on none.

    They are those of a run, by the name of its directory and the first digits of the sha256 of its weights, so that no
    two are taken for one.
    """
    told = settings.get("features")
    if isinstance(told, str):
        return told
    if not isinstance(told, dict):
        return None
    return f"features of {Path(str(told.get('run'))).name} ({str(told.get('weights_sha256'))[:8]})"
