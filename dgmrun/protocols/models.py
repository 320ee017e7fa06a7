"""Protocols for the capabilities of models, and `roles`, which selects those that evaluation uses.

Models never import a Protocol: a model satisfies one if it has its methods, so what does not match is refused by its
class, before it is built. A model that can be conditioned takes `context=`, an Event.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from dgmrun.protocols.contrast import Contrasted

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.latent.draws import Draw
    from dgmrun.latent.trace import Trace
    from dgmrun.protocols.values import Batch, Event


@runtime_checkable
class AnnealingPath(Protocol):
    """Unnormalised densities f_beta from a tractable base (beta = 0) to the model (beta = 1), with transitions."""

    def log_normaliser(self) -> Tensor:
        """log Z of the base distribution, a scalar in nats."""

    def start(self, num: int) -> Tensor:
        """Exact samples of the base distribution, [num, ...]."""

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes a transition that leaves f_next_beta invariant.

        Returns the new state, and the increment of the log-weight: log f_next_beta - log f_beta at the old one, [num].
        """


@runtime_checkable
class TractableDensity(Protocol):
    """A density with exact log-probabilities and exact samples."""

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), or log p(x | context), [batch]."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], one for each row of `context` if it is given."""


@runtime_checkable
class MarkovChain(Protocol):
    """A model that is sampled by Markov chain Monte Carlo."""

    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Advances the chains at `x` [chains, *event.shape] by `steps` transitions that leave the model invariant."""


@runtime_checkable
class UnnormalisedDensity(MarkovChain, Protocol):
    """A density known up to its partition function Z, with a Markov chain that leaves it invariant."""

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log f(x) = log p(x) + log Z, [batch]."""

    def annealed(self, x: Tensor) -> AnnealingPath:
        """Path to the model from a base distribution fitted to training data `x`, e.g. one of independent units."""


@runtime_checkable
class Peaked(Protocol):
    """A density of real numbers whose mode is known."""

    def peak(self) -> tuple[Tensor, Tensor]:
        """The mode, [*event.shape], and the negative Hessian of log f there, [D, D]."""


@runtime_checkable
class Topped(Protocol):
    """A latent variable model with an unnormalised top layer: log p of its traces omits the term -log Z."""

    def top(self, x: Tensor) -> tuple[UnnormalisedDensity, Tensor]:
        """The density of the top layer, and values of that layer for training data `x`, or their probabilities."""

    def descend(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Samples x [num, *event.shape] and z of each layer [1, num, units], bottom first, given z of the top layer."""


@runtime_checkable
class Sampler(Protocol):
    """A model that can be sampled directly; nothing else is required."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""


@runtime_checkable
class Inference(Protocol):
    """A model of x and latent layers z_1 to z_L, with an approximate posterior q(z | x)."""

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: Tensor | None = None) -> Trace:
        """Draws z for each example, and returns it with the distributions of all layers.

        Args:
            x: examples [batch, *event.shape].
            draw: how to draw each layer.
            context: what the examples are conditioned on.
            local: parameters [batch, ...] of posteriors to use in place of its own, if it is `Reparameterised`.
        """


@runtime_checkable
class Generative(Protocol):
    """The generative part of a latent variable model."""

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x | z_1) [samples, batch, *event.shape], given z_1 [samples, batch, units]."""

    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z of each layer [1, num, units], bottom first."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""


@runtime_checkable
class LatentVariableModel(Inference, Generative, Protocol):
    """A model with both an inference and a generative part, as wake-sleep needs."""


@runtime_checkable
class Reparameterised(Protocol):
    """A latent variable model whose samples of z are differentiable in the parameters of the posterior.

    If `is_local`, the model has no amortised posterior, and one is fitted to each example.
    """

    is_local: bool

    def guess(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Initial parameters of each example's local posterior, [batch, ...]."""


@runtime_checkable
class BinaryLatents(Protocol):
    """A latent variable model whose latent units are binary."""

    def latent_bits(self) -> int:
        """Number of latent units: there are 2^bits states z."""


@runtime_checkable
class Annealable(Protocol):
    """A latent variable model with continuous z whose posterior can be reached by annealing."""

    def posterior_path(self, x: Tensor, context: Tensor | None = None) -> AnnealingPath:
        """Path from the prior p(z) to p(z | x), for all examples at once."""


@runtime_checkable
class Integrated(Protocol):
    """A latent variable model whose z can be integrated out analytically."""

    def log_marginal(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), [batch]."""


@runtime_checkable
class Bounded(Protocol):
    """A model that computes a bound on its log-probabilities itself and exposes no latent variables."""

    def bound(self, batch: Batch) -> Tensor:
        """Upper bound, in expectation, on -log p of each example, [batch]; differentiable."""


@runtime_checkable
class SelfTrained(Protocol):
    """A model that defines its own training loss."""

    def training_loss(self, batch: Batch) -> Tensor:
        """Loss of each example, whose mean training minimises, [batch]; differentiable."""


@runtime_checkable
class ImplicitModel(Protocol):
    """A model defined only by a map from noise to x, without a density."""

    def noise(self, num: int) -> Tensor:
        """Noise from which to generate `num` samples, [num, ...]."""

    def generate(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Samples x [num, *event.shape] generated from `noise`, differentiable in the parameters."""


@runtime_checkable
class Enumerable(Protocol):
    """A density whose smaller layer of binary units can be enumerated."""

    def enumerable_bits(self) -> int:
        """Number of units of the smaller layer, which has 2^bits states."""

    def log_masses(self, index: Tensor) -> Tensor:
        """Unnormalised log-mass of the states numbered `index` of the smaller layer, float64 [states]."""

    def complete(self, index: Tensor) -> Tensor:
        """Samples x drawn given the states numbered `index` of the smaller layer, [states, *event.shape]."""


@runtime_checkable
class Stacked(Protocol):
    """A model of several parts that are trained one after another."""

    def stack(self) -> list[Any]:
        """The parts, the one next to x first; `weights=[RUN,RUN]` loads each from a run."""


@runtime_checkable
class Initialised(Protocol):
    """A model that is initialised from data before the first training step."""

    def initialise(self, x: Tensor) -> None:
        """Sets data-dependent parameters, such as biases and centring, from training data `x`."""


@runtime_checkable
class Averaged(Protocol):
    """A model of binary data that tells the probabilities of which its samples are draws."""

    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Probability of each unit in the last step that drew the samples `x`, [num, *event.shape]."""


class Learnable(UnnormalisedDensity, Initialised, Protocol):
    """An unnormalised density with parameters to learn, which start from training data."""


@runtime_checkable
class Pictured(Protocol):
    """A model that provides images or matrices to plot; `captions` of its class may say what they show."""

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Named tensors to plot, given some examples: images [num, *event.shape], or one matrix."""


class Roles(NamedTuple):
    """Protocols by which a model is scored (`density`) and sampled (`sampler`); None if it cannot be."""

    density: type | None
    sampler: type | None

    @property
    def needs_log_z(self) -> bool:
        """Whether log-probabilities require an estimate of log Z."""
        return self.density in (UnnormalisedDensity, Topped)


DENSITIES = (TractableDensity, UnnormalisedDensity, Topped, Inference, Bounded, Contrasted)
SAMPLERS = (Sampler, MarkovChain, Topped)


def roles(model: type) -> Roles:
    """Returns the roles of a model class: of several Protocols that it satisfies, the first in order."""
    density, sampler = (next((each for each in every if fits(model, each)), None) for every in (DENSITIES, SAMPLERS))
    return Roles(density, sampler)


def fits(model: type, protocol: type) -> bool:
    """Returns whether a model class has every method of a Protocol."""
    members = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name, member in vars(base).items()
        if not name.startswith("_") and callable(member)
    }
    return all(callable(getattr(model, name, None)) for name in members)


def takes_context(model: type) -> tuple[bool, bool]:
    """Returns whether a model class can be conditioned on a context, and whether it must be."""
    parameter = inspect.signature(model).parameters.get("context")
    return parameter is not None, parameter is not None and parameter.default is inspect.Parameter.empty


def context_of(model: Any) -> Event | None:
    """Event of the context that a model was built for; None where it is not conditional."""
    event: Event | None = getattr(model, "context", None)
    return event
