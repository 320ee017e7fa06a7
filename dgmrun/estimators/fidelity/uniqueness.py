"""Share of the valid strings that a model samples that are different."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.strings import StringMethod, ratio, valid
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Uniqueness(StringMethod):
    """Number of different valid samples over that of valid ones, as in MOSES; see `dgmrun.estimators.strings`.

    It falls with the number of samples, from 1 of one towards 0 of infinitely many if there are finitely many strings:
    compare figures of as many samples.
    """

    quantity: ClassVar[str] = "uniqueness"

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "strings"], Estimate]:
        """Returns how often each string occurs, and the share of different ones."""
        strings, language = self.drawn(model, evidence)
        counts = Counter(valid(strings, language))
        times = torch.tensor([*counts.values()], dtype=torch.float64)
        different, num, once = len(counts), counts.total(), int(times.eq(1).sum())
        without = [(different - 1, num - 1, once), (different, num - 1, num - once)]
        return times, ratio(self.quantity, different, num, without, "none", asdict(self))
