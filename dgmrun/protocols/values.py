"""Values that the parts exchange: events, batches, and estimates with their error bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dgmrun.protocols import sparse, text, words
from dgmrun.protocols.features import Features
from dgmrun.protocols.language import Language
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.quantities import QUANTITIES, UNKNOWN, Quantity

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KINDS = ("binary", "levels", "categorical", "counts", "tokens", "unit", "real")
SIZED = ("levels", "categorical", "tokens")
CONTINUOUS = ("unit", "real")
MADE_BY = {
    ("unit", "binary"): "dataset.binarisation=dynamic dataset.transform=none",
    ("unit", "levels"): "dataset.transform=levels",
    ("unit", "real"): "dataset.transform=logit",
    ("counts", "real"): "dataset.transform=jitter",
    ("counts", "binary"): "dataset.kind=unit dataset.binarisation=threshold",
    ("counts", "levels"): "dataset.kind=unit dataset.transform=levels",
    ("binary", "unit"): "dataset.binarisation=none",
    ("binary", "real"): "dataset.binarisation=none dataset.transform=logit",
}
"""Settings that make data of one kind data of another."""
LIMITS = {
    ("counts", "binary"): ", where no number is above 255",
    ("counts", "levels"): ", where no number is above 255",
    ("binary", "unit"): ", where they were grey",
    ("binary", "real"): ", where they were grey levels k / 255",
    ("unit", "real"): ", where they are grey levels k / 255",
    ("unit", "levels"): ", where they are grey levels k / 255",
}
"""Where such settings do so, if not everywhere."""
ONE_SIDED = 0.99865
"""Probability below the upper end of a 99.7 % interval: that of a Gaussian up to three standard deviations."""


@dataclass(frozen=True)
class Event:
    """The shape of one example and the values it may take.

    Args:
        shape: (channels, height, width) for images, (D,) for tables and strings, () for a single value.
        kind: `binary`; `levels`, ordered, 0 to size - 1, e.g. grey levels; `categorical`, unordered classes; `counts`;
            `tokens`, the words of a string, where 0 is both end and padding; `unit`, [0, 1]; `real`.
        size: number of levels, classes or words; None for the other kinds.

    Raises:
        ValueError: the kind is unknown, or the size does not suit it.
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

    def __str__(self) -> str:
        """In words."""
        return f"{list(self.shape)} of kind {self.kind}{'' if self.size is None else f' and size {self.size}'}"

    @property
    def dims(self) -> int:
        """Number of dimensions D, the product of the entries of `shape`."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Data type of a batch: float32 for binary and continuous kinds, int64 for the others."""
        import torch

        return torch.float32 if self.kind in ("binary", *CONTINUOUS) else torch.int64

    def seen(self, x: Tensor, like: Tensor) -> Tensor:
        """Returns x as a model with parameters like this one sees it: in their precision, unless of whole numbers."""
        return x.to(like) if self.dtype.is_floating_point else x.to(like.device, self.dtype)

    @property
    def is_picture(self) -> bool:
        """Whether an example is an image: channels, height and width."""
        return len(self.shape) == 3

    @property
    def is_class(self) -> bool:
        """Whether an example is one class, or one bit."""
        return self.kind in ("binary", "categorical") and self.dims == 1

    @property
    def is_continuous(self) -> bool:
        """Whether an example has a probability density rather than a probability mass."""
        return self.kind in CONTINUOUS

    @property
    def log_states(self) -> float | None:
        """Logarithm of the number of possible examples, in nats; None if it is infinite."""
        if self.kind == "tokens" and self.size is not None:
            return math.log(sum((self.size - 1) ** length for length in range(self.dims + 1)))
        values = 2 if self.kind == "binary" else self.size
        return None if values is None else self.dims * math.log(values)

    def size_of(self, x: Tensor) -> Tensor:
        """Number of words, tokens (the end included) or dimensions of each example, float64 [batch].

        Bits per dimension and perplexities are normalised by it.
        """
        import torch

        if self.kind in words.KINDS:
            return words.lengths(self, x)
        return torch.full((len(x),), float(self.dims), dtype=torch.float64)

    def log_frequencies(self, x: Tensor) -> Tensor:
        """Logarithm of the share of each word in examples of counts or tokens, smoothed by 0.1, float64 [words]."""
        return words.log_frequencies(self, x)

    def require(self, kinds: Sequence[str], what: str, as_they_are: bool = False) -> None:
        """Checks that `kind` is among `kinds`, those that `what` models, e.g. "a NADE".

        Raises:
            ValueError: it is not; the message names the settings that make it so, if there are any, unless data are to
                be modelled `as_they_are` without them.
        """
        if self.kind not in kinds:
            pairs = [(self.kind, kind) for kind in kinds if not as_they_are and (self.kind, kind) in MADE_BY]
            cures = [f"{MADE_BY[pair]} makes it {pair[1]}{LIMITS.get(pair, '')}" for pair in pairs]
            cure = f": {', or '.join(cures)}" if cures else ""
            raise ValueError(f"`dataset` must be {' or '.join(kinds)} for {what}, but is {self.kind}{cure}")

    def require_picture(self, what: str, of_tables: str) -> None:
        """Checks that an example is an image, for `what`, where `of_tables` is what models others, e.g. "model=flow".

        Raises:
            ValueError: it is not.
        """
        if not self.is_picture:
            must = f"must be [channels, height, width] for {what}, but is {list(self.shape)}"
            one_channel = "x[:, None] of your own file gives it one channel"
            cure = one_channel if len(self.shape) == 2 else f"{of_tables} takes tables"
            raise ValueError(f"`dataset.event.shape` {must}: {cure}")


class Batch(NamedTuple):
    """Examples `x` [batch, *event.shape], their positions `index` in the split, and their context, if any.

    Those of a whole split may be sparse. What models see, `rows` and `blocks` of them, is dense.
    """

    x: Tensor
    index: Tensor  # type: ignore[assignment]
    context: Tensor | None = None

    def rows(self, which: Any) -> Batch:
        """The examples selected by `which`, a slice or positions in this batch."""
        context = None if self.context is None else sparse.gathered(self.context, which)
        return Batch(sparse.gathered(self.x, which), self.index[which], context)

    def subset(self, which: Tensor) -> Batch:
        """The examples at positions `which`, sparse if they were."""
        context = None if self.context is None else sparse.subset(self.context, which)
        return Batch(sparse.subset(self.x, which), self.index[which], context)

    def blocks(self, size: int) -> Iterator[Batch]:
        """Splits into batches of `size` examples; the last may be smaller."""
        return (self.rows(slice(start, start + size)) for start in tracked(range(0, len(self.x), size)))


class Modes(NamedTuple):
    """Modes of a distribution: centres [modes, D], and `reach`, the radius within which a sample belongs to one."""

    centres: Tensor
    reach: float


class Evidence(NamedTuple):
    """The data on which a method scores a model.

    Args:
        batch: the examples.
        valid: validation examples that are not scored, for methods with hyperparameters to select.
        latents: z of examples that were sampled from the model, layers concatenated [examples, units].
        modes: modes of the data distribution, if known.
        original: map from what the model sees to original units.
        population: size of the finite population that the examples are from, each at most once; None if it is infinite.
        class_counts: number of training examples of each class that is given, [classes]; None unless one class is.
        language: what strings mean, if they are spelled.
        train: training examples in original units, where there is a language or features.
        teacher: what taught the model, for methods that compare both: its `log_density(x, context)` and `log_z`.
        features: features of examples, for methods that compare these.
    """

    batch: Batch
    valid: Batch
    latents: Tensor | None = None
    modes: Modes | None = None
    original: Callable[[Tensor], Tensor] = lambda x: x
    population: int | None = None
    class_counts: Tensor | None = None
    language: Language | None = None
    train: Tensor | None = None
    teacher: Any = None
    features: Features | None = None


Kind = Literal["exact", "estimate", "lower_bound", "upper_bound"]
Bias = Literal["none", "down", "up", "unknown"]


def half_width(error: float, size: float, intervals: int = 1) -> float:
    r"""Half-width of the 99.7 % interval of a mean: :math:`t_{0.99865, n - 1}` standard errors.

    These are 3 for many values and 236 for two (Student, 1908, The probable error of a mean).

    Args:
        error: estimated standard error of the mean.
        size: number of independent values n, at least 2; degrees of freedom plus 1 if they are no whole number.
        intervals: number of intervals that hold at once with 99.7 %, by Bonferroni's inequality.
    """
    from scipy.special import stdtrit

    return float(-stdtrit(size - 1, (1 - ONE_SIDED) / intervals)) * error


@dataclass(frozen=True, repr=False)
class Estimate:
    """An estimated number with its error bar.

    Args:
        quantity: what is estimated, e.g. `log_z`; see `QUANTITIES`.
        value: the estimate.
        standard_error: standard error of `value`; None if unknown, in which case a warning says why.
        interval: 99.7 % interval; an end is None if the interval is open there, all of it if none is claimed.
        kind: whether `value` is exact, an estimate or, in expectation, a bound.
        bias: direction of the bias of `value`.
        samples: number of samples, chains or enumerated states.
        effective_sample_size: (sum w)^2 / sum w^2, for means of importance weights.
        settings: settings of the method.
        diagnostics: further numbers.
        warnings: messages, each with its remedy.
        curve: estimates from the first samples only: number of samples, value, and both ends of the interval.
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

    def __repr__(self) -> str:
        """One line: value, standard error, 99.7 % interval and kind."""
        return f"{text.shown(self)}{'  ! see warnings' if self.warnings else ''}"

    @property
    def known(self) -> Quantity:
        """Properties of its quantity."""
        return QUANTITIES.get(self.quantity, UNKNOWN)

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return self.known.unit
