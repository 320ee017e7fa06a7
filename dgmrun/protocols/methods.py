"""Protocols of evaluation methods: settings, which the constructor checks, and a call with a model.

A method names the Protocol that it `requires` of a model, or several in a union, of which any will do. By default it
supports every such model, and `methods=auto` selects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_args

from dgmrun.protocols.models import Sampler, fits, roles

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.protocols.values import Batch, Estimate, Evidence


class Unmeasurable(ValueError):
    """A method cannot measure with these settings; the message names the key and the cure."""


class Method(Protocol):
    """Interface that the methods of all stages share."""

    requires: ClassVar[Any]
    is_exact: ClassVar[bool] = False

    def check(self, model: Any) -> None:
        """Raises ValueError if the method cannot handle this model with these settings."""
        return

    def is_automatic(self, model: Any) -> bool:
        """Returns whether `methods=auto` selects the method for this model."""
        return True

    def quick(self, model: Any) -> Any:
        """Returns a version cheap enough for validation, or None. Validation prefers an exact method."""
        return None


class LogZMethod(Method, Protocol):
    """Method that estimates log Z, in nats."""

    needs_proposal: ClassVar[bool] = False

    def __call__(self, model: Any, x: Tensor, proposal: Any = None) -> Estimate:
        """Returns log Z of `model`.

        Args:
            model: an unnormalised density.
            x: training data, to which the model fits the base distribution of annealing.
            proposal: samples from a tractable density close to the model, for methods that need one.
        """


class ScoringMethod(Method, Protocol):
    """Method that scores a model on evidence."""

    needs: ClassVar[str | None] = None
    """What must be known of the data: `modes`, `language` (how strings are spelled) or `validity` (which are some);
    or `teacher`: that of a student, whose density is known; or `features`: of examples x, which `auto` has if a run is
    named that has some."""
    is_per_example: ClassVar[bool] = True
    fewest: ClassVar[int] = 1
    """Smallest number of examples."""

    @property
    def simulates(self) -> int:
        """Number of examples to sample from the model for scoring; 0 if the method scores data."""
        return 0

    def adapted(self, model: Any, valid: Batch) -> Any:
        """Returns the model to score, and to sample for scoring: it may be made of `model` and validation examples."""
        return model

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """Returns values in float64, [examples] if they are per example, and the estimate."""


class LikelihoodMethod(ScoringMethod, Protocol):
    """Method that estimates log-probabilities of examples, in nats, and their mean."""

    may_exceed: ClassVar[bool] = False
    """Whether it may exceed log p in the mean by any amount: it is then compared with lower bounds, and flagged."""


class FidelityMethod(ScoringMethod, Protocol):
    """Method that measures how close samples are to data, or predictions to labels."""


def suits(model: type, requires: Any) -> bool:
    """Returns whether a method that requires a Protocol can be called with a model: a chain is a sampler for it."""
    any_of = get_args(requires) or (requires,)
    return any(fits(model, each) for each in any_of) or (requires is Sampler and roles(model).sampler is not None)
