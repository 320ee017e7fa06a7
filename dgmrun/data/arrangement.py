"""Choice of the density to model: p(x), p(x | labels) or p(labels | x)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dgmrun.errors import Mistake, nearest
from dgmrun.protocols.values import Batch, Event

GIVEN = ("labels", "x")


@dataclass(frozen=True)
class Arrangement:
    """Makes batches from rows of a dataset, with x and labels as example and context or vice versa.

    Args:
        x: event of x, as the model sees it.
        labels: event of the labels, if there are any.
        given: null for p(x); `labels` for p(x | labels); `x` for p(labels | x).

    Raises:
        Mistake: `given` is something else, or the dataset has no labels.
    """

    x: Event
    labels: Event | None = None
    given: str | None = None

    def __post_init__(self) -> None:
        if self.given not in (None, *GIVEN):
            near = nearest(str(self.given), GIVEN)
            raise Mistake(f"`given` must be null, {' or '.join(GIVEN)}, but is {self.given}{near}")
        if self.given is not None and self.labels is None:
            raise Mistake(
                f"`dataset` must have labels that are classes, attributes or captions for given={self.given}, "
                "but has none",
                "dataset.label=NAME names the column or array of your own file that has them, or tells "
                "what is wrong with it",
            )

    @property
    def event(self) -> Event:
        """Event of the modelled variable."""
        return self.labels if self.given == "x" and self.labels is not None else self.x

    @property
    def context(self) -> Event | None:
        """Event of the context; None for p(x)."""
        return None if self.given is None else self.x if self.given == "x" else self.labels

    def rows(self, x: Tensor, labels: Tensor | None, index: Tensor) -> Batch:
        """Makes a batch from rows of a dataset, in their stored types."""
        if self.given is None:
            return Batch(x, index)
        assert labels is not None, "a dataset that states labels has them"
        return Batch(labels, index, x) if self.given == "x" else Batch(x, index, labels)

    def __call__(self, x: Tensor, labels: Tensor | None, index: Tensor) -> Batch:
        """Makes a batch from rows, in the data types that models see."""
        batch = self.rows(x, labels, index)
        context = None if batch.context is None or self.context is None else batch.context.to(self.context.dtype)
        return Batch(batch.x.to(self.event.dtype), index, context)
