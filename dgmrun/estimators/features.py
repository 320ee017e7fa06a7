"""What the methods share that compare features of examples with those of samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.sampling import scored
from dgmrun.protocols.features import Features
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import Sampler
from dgmrun.protocols.values import Evidence

LEAST = 2


@dataclass(frozen=True)
class FeatureMethod(FidelityMethod):
    """A method that knows examples and samples by their features alone.

    The contexts of a conditional model are those of examples, so that samples are compared with p(x), whatever they are
    given.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Sampler
    needs: ClassVar[str | None] = "features"
    is_per_example: ClassVar[bool] = False
    fewest: ClassVar[int] = LEAST
    quantity: ClassVar[str]
    num_samples: int | None = None

    def __post_init__(self) -> None:
        self.at_least("num_samples", self.fewest)

    def at_least(self, key: str, least: int) -> None:
        """Refuses a setting that is too small; None is not.

        Raises:
            ValueError: the message names the key.
        """
        size = getattr(self, key)
        if size is not None and size < least:
            raise ValueError(f"`fidelity.{self.quantity}.{key}` must be at least {least}, but is {size}")

    def is_automatic(self, model: Any) -> bool:
        """Returns False: without features of a run, the method runs only on request."""
        return False

    def drawn(self, model: Any, evidence: Evidence, *others: Tensor) -> list[Float64[Tensor, "rows features"]]:
        """Returns features of the examples, of samples of the model, and of other examples in original units.

        All are computed in one batch, as a network rounds differently in batches of different sizes: equal examples
        have equal features.
        """
        samples = scored(model, evidence, self.num_samples or len(evidence.batch.x))
        parts = [evidence.original(evidence.batch.x), samples, *others]
        return list(of(evidence).of(torch.cat(parts)).split([len(part) for part in parts]))

    def settings(self, evidence: Evidence) -> dict[str, Any]:
        """Returns the settings of the method, and what the features are."""
        return {**asdict(self), **of(evidence).told}


def of(evidence: Evidence) -> Features:
    """Returns the features that the method is handed."""
    assert evidence.features is not None
    return evidence.features
