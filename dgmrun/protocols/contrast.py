"""Protocols of models whose posterior is a map from noise: it has samples but no density, for which a net stands in.

And what is raised where the simulator of such a model fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.distributions import Distribution, Normal


class SimulatorError(ValueError):
    """A simulator, which may be the user's own code, fails or gives what it must not; the message names its key."""


@runtime_checkable
class ImplicitPosterior(Protocol):
    """A model with an implicit posterior q(z | x), and a net T that estimates a log density ratio of it."""

    def infer(self, x: Tensor, num: int, context: Tensor | None = None) -> Tensor:
        """Samples z of q(z | x), [num, batch, units], differentiable in the parameters of q."""

    def ratio_parameters(self) -> list[nn.Parameter]:
        """The parameters of T."""


@runtime_checkable
class Contrasted(ImplicitPosterior, Protocol):
    """A model with a density p(x, z), whose T learns log q(z | x) - log r(z | x) of a known Gaussian r.

    If `is_adaptive`, r has mean and variance of q, else it is the prior.
    """

    is_adaptive: bool

    def contrasted(self, x: Tensor, num: int, context: Tensor | None = None) -> tuple[Tensor, Normal]:
        """Samples z of q(z | x), as `infer` has them, and r(z | x), unit by unit, without a gradient."""

    def log_contrast(self, x: Tensor, u: Tensor, context: Tensor | None = None) -> Tensor:
        """T in nats, [samples, batch], given z as u [samples, batch, units] in units of r."""

    def log_joint(self, x: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x, z) in nats, [samples, batch], given z [samples, batch, units]."""


def cures(first: str, model: object) -> str:
    """Returns what helps where T understates its log ratio, in words: `first`, and what the model allows."""
    is_plain = isinstance(model, Contrasted) and not model.is_adaptive
    *others, last = [first, "raise objective.k", *["set model.contrast=adaptive"] * is_plain]
    return f"{', '.join(others)}, or {last}"


@runtime_checkable
class Simulating(ImplicitPosterior, Protocol):
    """A model that can simulate z and x together, in units of the data, and knows no density of x given z."""

    def simulated(self, num: int) -> tuple[Tensor, Tensor]:
        """Samples z of p(z), [1, num, units], and x of p(x | z), [num, *event.shape]; may raise SimulatorError."""

    def log_ratio(self, x: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """T in nats, which learns log q(x, z) - log p(x, z), [samples, batch], given z [samples, batch, units]."""

    def exact_posterior(self, x: Tensor) -> Distribution | None:
        """The exact p(z | x), a distribution over z [batch, units], if it is known."""
