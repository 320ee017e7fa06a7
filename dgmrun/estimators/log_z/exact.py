"""log Z by enumeration of the states of the smaller layer, in float64.

References:
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 4.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dgmrun.estimators.enumeration import AUTOMATIC_BITS, log_masses
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import Enumerable
from dgmrun.protocols.values import Estimate

QUICK_BITS = 14
"""Largest number of units of the smaller layer that is enumerated at every validation."""


@dataclass(frozen=True)
class Enumeration(LogZMethod):
    r""":math:`\log Z = \log \sum_s e^{\log m(s)}` over the states s of the smaller layer, in nats.

    Use it whenever it is affordable: 2^20 states of a 784-dimensional model take about 20 s on two cores.

    Args:
        max_bits: largest number of units of the smaller layer, at most 25: 2^25 masses take 256 MiB.

    Raises:
        ValueError: `max_bits` is not between 1 and 25.
    """

    requires: ClassVar[type] = Enumerable
    is_exact: ClassVar[bool] = True
    max_bits: int = 25

    def __post_init__(self) -> None:
        if not 1 <= self.max_bits <= 25:
            raise ValueError(f"`log_z.exact.max_bits` must be from 1 to 25, but is {self.max_bits}")

    def check(self, model: Enumerable) -> None:
        """Raises ValueError if the smaller layer has more than `max_bits` units."""
        if (bits := model.enumerable_bits()) > self.max_bits:
            raise ValueError(
                f"`log_z.methods` must not have exact above {self.max_bits} units in the smaller layer, "
                f"but the model has {bits}"
            )

    def is_automatic(self, model: Enumerable) -> bool:
        """Returns whether enumeration takes only seconds."""
        return model.enumerable_bits() <= AUTOMATIC_BITS

    def quick(self, model: Enumerable) -> Enumeration | None:
        """Returns the method itself if enumeration takes only milliseconds."""
        return self if model.enumerable_bits() <= QUICK_BITS else None

    def __call__(self, model: Enumerable, x: Tensor, proposal: object = None) -> Estimate:
        """Returns log Z of `model`; `x` and `proposal` are unused."""
        self.check(model)
        value = float(torch.logsumexp(log_masses(model), 0))
        states, settings = 2 ** model.enumerable_bits(), asdict(self)
        return Estimate("log_z", value, 0.0, (value, value), "exact", "none", samples=states, settings=settings)
