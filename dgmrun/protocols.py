"""What a model can do, and the few values that every part exchanges.

Models never import a Protocol: they have one when they have its methods, so a model and an objective that do
not fit are refused from their classes, before anything is built.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from dgmrun.draws import Draw
    from dgmrun.trace import Trace


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


@runtime_checkable
class AnnealingPath(Protocol):
    """Distributions f_beta from a tractable base (beta = 0) to the model (beta = 1), with a transition for each."""

    def log_normaliser(self) -> Tensor:
        """log Z of the base distribution, a scalar in nats."""

    def start(self, num: int) -> Tensor:
        """Exact samples of the base distribution, [num, ...]."""

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """A transition that leaves f_next_beta invariant, and what it weighs.

        Returns the new state and log f_next_beta - log f_beta of the old one, [num].
        """


@runtime_checkable
class UnnormalisedDensity(Protocol):
    """A density known up to its partition function Z."""

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log f(x) = log p(x) + log Z, [batch]."""

    def gibbs(self, x: Tensor, steps: int) -> Tensor:
        """`x` after `steps` sweeps of a Markov chain that leaves p invariant."""

    def annealed(self, base_logits: Tensor) -> AnnealingPath:
        """The path from independent Bernoulli dimensions with `base_logits` [D] to the model."""


@runtime_checkable
class TractableDensity(Protocol):
    """A density whose log-probabilities are exact, and that can be sampled."""

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), [batch]."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""


@runtime_checkable
class Sampler(Protocol):
    """A model that can be sampled directly, whatever else is known of it."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""


@runtime_checkable
class LatentVariableModel(Protocol):
    """A density of x and of latent layers z_1 to z_L, with a posterior q(z | x) to sum z out by."""

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: Tensor | None = None) -> Trace:
        """Draws z for each x, and gives every distribution on the way.

        Args:
            x: examples [batch, *event.shape].
            draw: how each layer is drawn.
            context: what they are conditioned on.
            local: posteriors to use in place of the model's own, where it is `Reparameterised`, [batch, ...].
        """

    def decode(self, z: Tensor) -> Tensor:
        """Means of p(x | z_1) [samples, batch, *event.shape] of z_1 [samples, batch, units]."""

    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples of the model: x [num, *event.shape], and z of each layer [1, num, units], bottom first."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""


@runtime_checkable
class Reparameterised(Protocol):
    """A latent variable model whose draws of z have derivatives in the parameters of the posterior.

    Where `is_local` the model has no posterior of its own, and every example needs one that is fitted to it.
    """

    is_local: bool

    def guess(self, x: Tensor) -> Tensor:
        """Parameters of the posterior of each example, as far as it can be local, to start one from, [batch, ...]."""


@runtime_checkable
class BinaryLatents(Protocol):
    """A latent variable model whose z are binary units."""

    def latent_bits(self) -> int:
        """How many there are: 2^bits states."""


@runtime_checkable
class Annealable(Protocol):
    """A latent variable model with continuous z, whose posterior can be annealed to."""

    def posterior_path(self, x: Tensor) -> AnnealingPath:
        """The path from the prior p(z) to p(z | x), of every example at once."""


@runtime_checkable
class Enumerable(Protocol):
    """A density whose smaller layer of binary units can be enumerated."""

    def enumerable_bits(self) -> int:
        """Number of units of the smaller layer: 2^bits states."""

    def log_masses(self, index: Tensor) -> Tensor:
        """Unnormalised log-mass of the states numbered `index` of the smaller layer, float64 [states]."""

    def complete(self, index: Tensor) -> Tensor:
        """Samples x drawn given the states numbered `index` of the smaller layer, [states, *event.shape]."""


class LogZMethod(Protocol):
    """A way to log Z: settings, which its constructor checks, and a call."""

    requires: type
    needs_proposal: bool

    def check(self, model: Any) -> None:
        """Raises ValueError where this model is too much for these settings."""

    def __call__(self, model: Any, base_logits: Tensor, proposal: Any = None) -> Estimate:
        """log Z of `model`, in nats.

        Args:
            model: an unnormalised density.
            base_logits: log odds of the independent units that annealing starts from, [*event.shape].
            proposal: draws from a tractable density near the model, for methods that need one.
        """


class LikelihoodMethod(Protocol):
    """A way to the log-likelihood of a model: settings, which its constructor checks, and a call.

    Where `is_automatic` it is used unless others are asked for.
    """

    requires: type
    is_automatic: bool

    @property
    def simulates(self) -> int:
        """How many examples the model is to make for it; 0 where it scores data."""

    def check(self, model: Any) -> None:
        """Raises ValueError where the method is not for this model."""

    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Tensor, Estimate]:
        """log p of each example, [examples] float64, and their mean, in nats.

        Args:
            model: a density, a latent variable model or a sampler.
            x: examples [examples, *event.shape].
            known: the validation split, for what a method has to choose; of x that the model made, their z.
        """


@runtime_checkable
class Initialised(Protocol):
    """A model that looks at data before its first step."""

    def initialise(self, x: Tensor) -> None:
        """Sets biases, centring and the like from training data `x`."""


@runtime_checkable
class Pictured(Protocol):
    """A model with something to look at."""

    def pictures(self, x: Tensor) -> dict[str, Tensor]:
        """Named tensors given examples `x`: pictures [num, *event.shape], or one matrix."""


@runtime_checkable
class Source(Protocol):
    """What is trained on: batches without end, with a place that a checkpoint can hold."""

    batch_size: int
    seed: int
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[Batch]:
        """The rest of this epoch, or the next one where this one is over."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The place: epoch and position."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place."""

    def load_shares(self, states: Sequence[dict[str, Any]]) -> None:
        """Goes about to the place that another number of processes had."""

    def epochs(self, steps: int) -> float | None:
        """How many epochs so many batches are; None for a stream, which has none."""

    def examples(self, steps: int) -> int:
        """How many examples so many batches are, those of all processes together."""
