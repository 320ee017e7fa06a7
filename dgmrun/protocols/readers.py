"""Protocol of classifiers of texts that read some words only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Reader(Protocol):
    """A classifier of texts that predicts by one mask over the words of each, rather than by all masks together."""

    def read(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Chooses words of texts [batch, length] and predicts by them alone.

        Returns which are kept, 1 or 0, [batch, length]; their probabilities, [batch, length]; and log p(y | x) of
        every class given them, in nats, [batch, classes]. Padding is not kept, and its probability is 0.
        """
