"""The values that parts exchange: what an example is, examples, and a figure with its error bar."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Event:
    """One example: its shape and the values it may take.

    Args:
        shape: (channels, height, width) for images, (D,) for tables.
        support: `binary`, `categorical(K)`, `counts`, `unit` ([0, 1]), `real` or `tokens(K)`.
    """

    shape: tuple[int, ...]
    support: str

    @property
    def dims(self) -> int:
        """Number of dimensions D, the product of `shape`."""
        return math.prod(self.shape)


class Batch(NamedTuple):
    """Examples `x` [batch, *event.shape], their places `index` in the split, and what they are conditioned on."""

    x: Tensor
    index: Tensor  # type: ignore[assignment]
    context: Tensor | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure, never without its error bar.

    Args:
        value: the estimate.
        standard_error: one standard error of `value`; None where none is known, and a warning says why.
        interval: 99.7 % interval; an end is None where it is open, the whole is None where none is claimed.
        kind: `exact`, `estimate`, `lower_bound` or `upper_bound`.
        bias: direction in which `value` errs in the mean: `none`, `down`, `up` or `unknown`.
        samples: chains, or states enumerated.
        effective_sample_size: (sum w)^2 / sum w^2, where weights are averaged.
        settings: what the figure was made with.
        diagnostics: further figures, each a number.
        warnings: in words, each with its cure.
        quantity: what it is of, where that is not what its stage word says: a divergence.
        unit: of `value`.
        curve: the estimate by the first so many samples: their number, value, and the ends of the interval.
    """

    value: float
    standard_error: float | None
    interval: tuple[float | None, float | None] | None
    kind: str
    bias: str
    samples: int | None = None
    effective_sample_size: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    quantity: str | None = None
    unit: str = "nats"
    curve: list[tuple[int, float, float | None, float | None]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The estimate as results.json holds it; what its stage knows better replaces the empty entries."""
        return {**dataclasses.asdict(self), "split": None, "examples": None, "proposal": None}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Estimate:
        """The estimate that results.json holds."""
        return cls(**{part.name: entry[part.name] for part in dataclasses.fields(cls)})
