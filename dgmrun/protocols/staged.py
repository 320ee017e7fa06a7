"""A Protocol of models that draw examples in stages, each given those before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dgmrun.protocols.models import ImplicitModel

if TYPE_CHECKING:
    from dgmrun.protocols.values import Batch


def of_stage(name: str) -> str:
    """Returns what a stage is called in messages, by its place in the order in which stages draw."""
    return f"stage {name} (0 is the first, and coarsest)"


@runtime_checkable
class Staged(ImplicitModel, Protocol):
    r"""An implicit model that draws one part of x after another, from which x follows and that follow from x.

    .. math:: \log p(x) = \sum_k \log p(x_k | c_k) + \log |\det \partial (x_0, ..., x_K) / \partial x|

    where the context c_k is a function of the parts before x_k. The determinant does not depend on x.
    """

    def stages(self) -> list[Any]:
        """The implicit model of each part, in the order in which they draw, with its `event` and `context`.

        The first has no context.
        """

    def staged(self, batch: Batch) -> list[Batch]:
        """The parts x_k of examples, each with its context c_k."""

    def log_volume(self) -> float:
        """The logarithm of the determinant, in nats."""
