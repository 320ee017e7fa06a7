"""What a model can do.

Models never import a Protocol: they have one when they have its methods, so a model and an objective that do
not fit are refused from their classes, before anything is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.latent.draws import Draw
    from dgmrun.latent.trace import Trace


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
class Integrated(Protocol):
    """A latent variable model whose z can be integrated out."""

    def log_marginal(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x), [batch]."""


@runtime_checkable
class ImplicitModel(Protocol):
    """A model of which nothing is known but how it makes x of noise."""

    def noise(self, num: int) -> Tensor:
        """What a sample is made of, [num, ...]."""

    def generate(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """x [num, *event.shape], differentiable in the parameters."""
