"""What a model can do, and which of it serves: a Protocol for each ability, and `roles`, which puts them in one order.

Models never import a Protocol: they have one when they have its methods, so a model and an objective that do not fit
are refused from their classes, before anything is built. A model that can be conditioned on something takes `context=`,
an Event, when it is built; one that cannot has no such parameter, and is given None where its methods take a context.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.latent.draws import Draw
    from dgmrun.latent.trace import Trace
    from dgmrun.protocols.values import Batch


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
class TractableDensity(Protocol):
    """A density whose log-probabilities are exact, and that can be sampled."""

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), or log p(x | context), [batch]."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], one for each row of `context`, if that is given."""


@runtime_checkable
class MarkovChain(Protocol):
    """A model that is sampled by a chain."""

    def walk(self, x: Tensor, steps: int) -> Tensor:
        """`x` [chains, *event.shape] after so many steps of a chain that leaves the model invariant."""


@runtime_checkable
class UnnormalisedDensity(Protocol):
    """A density known up to its partition function Z, with a chain that leaves it invariant."""

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """log f(x) = log p(x) + log Z, [batch]."""

    def annealed(self, x: Tensor) -> AnnealingPath:
        """The path to the model from a base that it fits to training data `x`, say of independent dimensions."""

    def walk(self, x: Tensor, steps: int) -> Tensor:
        """See `MarkovChain`."""


@runtime_checkable
class Topped(Protocol):
    """A latent variable model whose top layer has an unnormalised density: log p of its traces lacks minus log Z."""

    def top(self, x: Tensor) -> tuple[UnnormalisedDensity, Tensor]:
        """The density of the top layer, and that layer's values for training data `x`."""


@runtime_checkable
class Sampler(Protocol):
    """A model that can be sampled directly, whatever else is known of it."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""


@runtime_checkable
class Inference(Protocol):
    """A model of x and of latent layers z_1 to z_L, with a posterior q(z | x) to sum z out by."""

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: Tensor | None = None) -> Trace:
        """Draws z for each x, and gives every distribution on the way.

        Args:
            x: examples [batch, *event.shape].
            draw: how each layer is drawn.
            context: what they are conditioned on.
            local: posteriors to use in place of the model's own, where it is `Reparameterised`, [batch, ...].
        """


@runtime_checkable
class Generative(Protocol):
    """A latent variable model from the top down."""

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x | z_1) [samples, batch, *event.shape] of z_1 [samples, batch, units]."""

    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples of the model: x [num, *event.shape], and z of each layer [1, num, units], bottom first."""

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""


@runtime_checkable
class LatentVariableModel(Inference, Generative, Protocol):
    """Both: it can be trained by its own dreams, and be looked at."""


@runtime_checkable
class Reparameterised(Protocol):
    """A latent variable model whose draws of z have derivatives in the parameters of the posterior.

    Where `is_local` the model has no posterior of its own, and every example needs one that is fitted to it.
    """

    is_local: bool

    def guess(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters of the posterior of each example, as far as it can be local, to start one from, [batch, ...]."""


@runtime_checkable
class BinaryLatents(Protocol):
    """A latent variable model whose z are binary units."""

    def latent_bits(self) -> int:
        """How many there are: 2^bits states."""


@runtime_checkable
class Annealable(Protocol):
    """A latent variable model with continuous z, whose posterior can be annealed to."""

    def posterior_path(self, x: Tensor, context: Tensor | None = None) -> AnnealingPath:
        """The path from the prior p(z) to p(z | x), of every example at once."""


@runtime_checkable
class Integrated(Protocol):
    """A latent variable model whose z can be integrated out."""

    def log_marginal(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), [batch]."""


@runtime_checkable
class Bounded(Protocol):
    """A model that knows a bound on its log-probabilities and shows no latent variables."""

    def bound(self, batch: Batch) -> Tensor:
        """An upper bound, in the mean, on -log p of each example, [batch]; differentiable."""


@runtime_checkable
class SelfTrained(Protocol):
    """A model that knows what it is to be trained by."""

    def training_loss(self, batch: Batch) -> Tensor:
        """What is to be least in the mean, of each example, [batch]; differentiable."""


@runtime_checkable
class ImplicitModel(Protocol):
    """A model of which nothing is known but how it makes x of noise."""

    def noise(self, num: int) -> Tensor:
        """What a sample is made of, [num, ...]."""

    def generate(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """x [num, *event.shape], differentiable in the parameters."""


@runtime_checkable
class Enumerable(Protocol):
    """A density whose smaller layer of binary units can be enumerated."""

    def enumerable_bits(self) -> int:
        """Number of units of the smaller layer: 2^bits states."""

    def log_masses(self, index: Tensor) -> Tensor:
        """Unnormalised log-mass of the states numbered `index` of the smaller layer, float64 [states]."""

    def complete(self, index: Tensor) -> Tensor:
        """Samples x drawn given the states numbered `index` of the smaller layer, [states, *event.shape]."""


@runtime_checkable
class Stacked(Protocol):
    """A model of layers that are trained one after another."""

    def stack(self) -> list[Any]:
        """Its parts, the one next to x first; `weights=[RUN,RUN]` gives each the parameters of a run."""


@runtime_checkable
class Initialised(Protocol):
    """A model that looks at data before its first step."""

    def initialise(self, x: Tensor) -> None:
        """Sets biases, centring and the like from training data `x`."""


@runtime_checkable
class Pictured(Protocol):
    """A model with something to look at."""

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Named tensors given some examples: pictures [num, *event.shape], or one matrix."""


class Roles(NamedTuple):
    """What serves to find a model's log-probabilities and to sample it; None where nothing does."""

    density: type | None
    sampler: type | None

    @property
    def needs_log_z(self) -> bool:
        """Whether its log-probabilities rest on a log Z."""
        return self.density in (UnnormalisedDensity, Topped)


DENSITIES = (TractableDensity, UnnormalisedDensity, Topped, Inference, Bounded)
SAMPLERS = (Sampler, MarkovChain)


def roles(model: type) -> Roles:
    """The roles of a class of models: where it has several abilities, the first of them serves."""
    density, sampler = (next((each for each in every if fits(model, each)), None) for every in (DENSITIES, SAMPLERS))
    return Roles(density, sampler)


def fits(model: type, protocol: type) -> bool:
    """Whether a class of models has every method of a Protocol."""
    members = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name, member in vars(base).items()
        if not name.startswith("_") and callable(member)
    }
    return all(callable(getattr(model, name, None)) for name in members)


def takes_context(model: type) -> tuple[bool, bool]:
    """Whether a class of models can be conditioned on something, and whether it must be."""
    parameter = inspect.signature(model).parameters.get("context")
    return parameter is not None, parameter is not None and parameter.default is inspect.Parameter.empty
