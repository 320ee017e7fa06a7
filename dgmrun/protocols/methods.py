"""What a method of an evaluation stage is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from dgmrun.protocols.values import Estimate

if TYPE_CHECKING:
    from torch import Tensor


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
