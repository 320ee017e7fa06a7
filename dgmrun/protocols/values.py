"""The values that parts exchange: what an example is, batches of them, and estimates with their error bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KINDS = ("binary", "levels", "categorical", "counts", "tokens", "unit", "real")
SIZED = ("levels", "categorical", "tokens")
CONTINUOUS = ("unit", "real")


@dataclass(frozen=True)
class Event:
    """One example: its shape and the values it may take.

    Args:
        shape: (channels, height, width) for pictures, (D,) for tables and strings, () for a single value.
        kind: `binary`; `levels`, ordered, 0 to size - 1, as grey values; `categorical`, unordered classes; `counts`;
            `tokens`, words of a string, of which 0 is the end and the padding; `unit`, [0, 1]; `real`.
        size: how many levels, classes or words there are; None for the other kinds.

    Raises:
        ValueError: there is no such kind, or the size does not suit it.
    """

    shape: tuple[int, ...]
    kind: str
    size: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`event.kind` must be one of {', '.join(KINDS)}, but is {self.kind}")
        is_size = type(self.size) is int and self.size > 0
        if not is_size if self.kind in SIZED else self.size is not None:
            must = "a whole number above 0" if self.kind in SIZED else "null"
            raise ValueError(f"`event.size` must be {must} for {self.kind} data, but is {self.size}")

    @property
    def dims(self) -> int:
        """Number of dimensions D, the product of `shape`."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the entries of a batch: whole numbers stay whole, but for bits, which every model multiplies by."""
        import torch

        return torch.float32 if self.kind in ("binary", *CONTINUOUS) else torch.int64

    @property
    def is_picture(self) -> bool:
        """Whether an example has channels, height and width."""
        return len(self.shape) == 3

    @property
    def is_continuous(self) -> bool:
        """Whether it has a density rather than a probability."""
        return self.kind in CONTINUOUS

    @property
    def log_states(self) -> float | None:
        """Logarithm of the number of different examples, in nats; None where there is no end of them."""
        if self.kind == "tokens" and self.size is not None:
            return math.log(sum((self.size - 1) ** length for length in range(self.dims + 1)))
        values = 2 if self.kind == "binary" else self.size
        return None if values is None else self.dims * math.log(values)

    def size_of(self, x: Tensor) -> Tensor:
        """Words, tokens (the end included) or dimensions of each example, float64 [batch].

        Bits per dimension and perplexities are per one of these.
        """
        import torch

        flat = x.reshape(len(x), -1)
        if self.kind == "counts":
            return flat.sum(1, dtype=torch.float64)
        if self.kind == "tokens":
            return (flat.ne(0).cumprod(1).sum(1) + 1).clamp(max=self.dims).double()
        return torch.full((len(x),), float(self.dims), dtype=torch.float64)

    def require(self, kinds: Sequence[str], what: str) -> None:
        """Refuses an event of other kinds than `what` models, say "a NADE".

        Raises:
            ValueError: names the key.
        """
        if self.kind not in kinds:
            raise ValueError(f"`dataset.event.kind` must be {' or '.join(kinds)} for {what}, but is {self.kind}")


class Batch(NamedTuple):
    """Examples `x` [batch, *event.shape], their places `index` in the split, and what they are conditioned on."""

    x: Tensor
    index: Tensor  # type: ignore[assignment]
    context: Tensor | None = None

    def rows(self, which: Any) -> Batch:
        """Some of the examples: a slice, or their places in this batch."""
        context = None if self.context is None else self.context[which]
        return Batch(self.x[which], self.index[which], context)

    def blocks(self, size: int) -> Iterator[Batch]:
        """Batches of so many examples in turn, the last perhaps of fewer."""
        return (self.rows(slice(start, start + size)) for start in range(0, len(self.x), size))


class Modes(NamedTuple):
    """Modes of a distribution whose samples can be assigned to them: centres [modes, D], and how far each reaches."""

    centres: Tensor
    reach: float


class Evidence(NamedTuple):
    """What a model is scored on.

    Args:
        batch: the examples.
        valid: the validation split, for what a method has to choose.
        latents: z of examples that the model made itself, layers side by side [examples, units].
        modes: those of the data, where they are known.
    """

    batch: Batch
    valid: Batch
    latents: Tensor | None = None
    modes: Modes | None = None


class Quantity(NamedTuple):
    """What a figure can be of.

    Args:
        unit: of its values.
        better: `higher`, `lower` or `none`.
        is_ranked: whether runs are put in order by it.
    """

    unit: str
    better: str = "none"
    is_ranked: bool = False


UNKNOWN = Quantity("")
QUANTITIES = {
    "log_z": Quantity("nats"),
    "log_likelihood": Quantity("nats", "higher", is_ranked=True),
    "window_log_density": Quantity("nats", "higher"),
    "jsd": Quantity("nats", "lower"),
    "le_cam": Quantity("of 1", "lower"),
    "squared_hellinger": Quantity("of 1", "lower"),
    "coverage": Quantity("of 1", "higher"),
    "accuracy": Quantity("of 1", "higher"),
    "log_variance": Quantity("log variance", "lower"),
}
"""What is known of each; a quantity that is not here has no unit and is not ranked."""
Kind = Literal["exact", "estimate", "lower_bound", "upper_bound"]
Bias = Literal["none", "down", "up", "unknown"]


@dataclass(frozen=True)
class Estimate:
    """A number, never without its error bar.

    Args:
        quantity: what it is of, say `log_z`; see `QUANTITIES`.
        value: the estimate.
        standard_error: one standard error of `value`; None where none is known, and a warning says why.
        interval: 99.7 % interval; an end is None where it is open, the whole is None where none is claimed.
        kind: what `value` is.
        bias: direction in which it errs in the mean.
        samples: chains, or states enumerated.
        effective_sample_size: (sum w)^2 / sum w^2, where weights are averaged.
        settings: what it was made with.
        diagnostics: further numbers.
        warnings: in words, each with its cure.
        curve: the estimate by the first so many samples: their number, value, and the ends of the interval.
    """

    quantity: str
    value: float
    standard_error: float | None
    interval: tuple[float | None, float | None] | None
    kind: Kind
    bias: Bias
    samples: int | None = None
    effective_sample_size: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    curve: list[tuple[int, float, float | None, float | None]] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """That of its quantity."""
        return QUANTITIES.get(self.quantity, UNKNOWN).unit
