"""What a method of an evaluation stage is: settings, which its constructor checks, and a call.

A method names the Protocol that it `requires` of a model. What follows it has unless it says otherwise: any such model
will do, and it is used unless others are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.protocols.values import Estimate, Evidence


class Method(Protocol):
    """What methods of every stage have in common."""

    requires: ClassVar[type]
    is_exact: ClassVar[bool] = False

    def check(self, model: Any) -> None:
        """Raises ValueError where this model is too much for these settings."""
        return

    def is_automatic(self, model: Any) -> bool:
        """Whether `methods=auto` has it for this model."""
        return True

    def quick(self, model: Any) -> Any:
        """The same method as validation can afford it, or None. Of several an exact one is used."""
        return None


class LogZMethod(Method, Protocol):
    """A way to log Z, in nats."""

    needs_proposal: ClassVar[bool] = False

    def __call__(self, model: Any, x: Tensor, proposal: Any = None) -> Estimate:
        """log Z of `model`.

        Args:
            model: an unnormalised density.
            x: training data, to which the model fits the base that annealing starts from.
            proposal: draws from a tractable density near the model, for methods that need one.
        """


class LikelihoodMethod(Method, Protocol):
    """A way to log-probabilities of examples, in nats."""

    @property
    def simulates(self) -> int:
        """How many examples the model is to make for it; 0 where it scores data."""
        return 0

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """log p of each example, [examples] float64, and their mean."""


class FidelityMethod(Method, Protocol):
    """A way to say how near samples are to data, or predictions to what they should be."""

    needs_modes: ClassVar[bool] = False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """A value for each example, [examples] float64, and the figure."""
