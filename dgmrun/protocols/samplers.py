"""Protocols of what some samplers can do beyond samples, and the Markov chain of a model that is sampled by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from dgmrun.protocols.models import Topped

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution


@runtime_checkable
class TwoLayers(Protocol):
    """A model of two layers, the hidden one of binary units, with units that are independent given the other layer."""

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Logits of h [batch, H], given v [batch, D]."""

    def visible(self, h: Tensor) -> Distribution:
        """p(v | h), unit by unit [..., D], given h [..., H]."""

    def draw_visible(self, h: Tensor) -> Tensor:
        """Samples of v [batch, D], given h [batch, H]; faster than those of `visible` can be."""

    def scored(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log f(v), h summed out, in nats [batch], and p(h = 1 | v) [batch, H], given v [batch, D]; by one product."""


@runtime_checkable
class Imputing(Protocol):
    """A model of pictures that draws each row given those above, exactly."""

    def impute(self, x: Tensor, rows: int, context: Tensor | None = None) -> Tensor:
        """Draws the pixels of pictures [num, *event.shape] below their first `rows`, given these."""


@runtime_checkable
class Stepwise(Protocol):
    """A sampler that takes steps, of which fewer are faster."""

    def sample_by(self, sampler: str, steps: int | None) -> None:
        """Sets how samples are drawn: ancestral or by ddim, in so many steps; None for all."""


@runtime_checkable
class Pathwise(Protocol):
    """A density of real numbers whose samples are differentiable in its parameters."""

    def rsample_and_log_prob(self, num: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples x [num, *event.shape], and log p of each [num]; both differentiable."""


@runtime_checkable
class Decoding(Protocol):
    """A latent variable model with one layer of continuous z, by which p(x | z) is sampled."""

    def drawn(self, z: Tensor) -> Tensor:
        """Samples x of p(x | z) [num, *event.shape], given z [num, units]."""


class Chain(NamedTuple):
    """The Markov chain of a model.

    Args:
        walker: what walks: the model itself or, as a chain of x alone is not known, the top of a `Topped` model.
        model: the model.
    """

    walker: Any
    model: Any

    @classmethod
    def of(cls, model: Any) -> Chain:
        """The chain of a model."""
        if not isinstance(model, Topped):
            return cls(model, model)
        like, event = next(model.parameters()), model.event  # type: ignore[attr-defined]
        return cls(model.top(event.seen(like.new_zeros(1, *event.shape), like))[0], model)

    def raised(self, x: Tensor) -> Tensor:
        """States of the chain at examples x [num, *event.shape]."""
        state: Tensor = x if self.walker is self.model else self.model.top(x)[1]
        return state

    def shown(self, state: Tensor) -> Tensor:
        """Samples x [num, *event.shape], given states of the chain: these, or draws of the layers below a top."""
        if self.walker is self.model:
            return state
        x: Tensor = self.model.descend(state.flatten(1))[0]
        return x
