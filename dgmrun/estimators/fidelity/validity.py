"""Share of sampled strings that are valid, such as molecules among strings of SMILES."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.strings import StringMethod
from dgmrun.protocols.intervals import binomial_interval
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Validity(StringMethod):
    """Number of valid samples over the number of samples, as in MOSES; see `dgmrun.estimators.strings`."""

    needs: ClassVar[str | None] = "validity"
    quantity: ClassVar[str] = "validity"

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns 1 for each valid sample, else 0, and their mean."""
        strings, language = self.drawn(model, evidence)
        assert language.is_valid is not None
        hits = torch.tensor([language.is_valid(string) for string in tracked(strings)], dtype=torch.float64)
        share = float(hits.mean())
        return hits, Estimate(
            self.quantity,
            value=share,
            standard_error=math.sqrt(share * (1 - share) / self.num_samples),
            interval=binomial_interval(int(hits.sum()), self.num_samples),
            kind="estimate",
            bias="none",
            samples=self.num_samples,
            settings=asdict(self),
        )
