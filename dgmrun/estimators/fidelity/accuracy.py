"""Accuracy of a classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import TractableDensity, context_of
from dgmrun.protocols.values import ONE_SIDED, Estimate, Evidence

BLOCK = 1000


@dataclass(frozen=True)
class Accuracy(FidelityMethod):
    """Share of examples whose true class has the largest p(y | x), with an interval by the binomial law."""

    requires: ClassVar[type] = TractableDensity

    def check(self, model: Any) -> None:
        """Raises ValueError unless the model is a classifier."""
        if not self.is_automatic(model):
            raise ValueError("`fidelity.methods` can have accuracy only for a model of one class given something")

    def is_automatic(self, model: Any) -> bool:
        """Returns whether the model is a classifier: conditional, with a single binary or categorical output."""
        told = context_of(model) is not None
        return told and model.event.kind in ("binary", "categorical") and model.event.dims == 1

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns 1 for each example classified correctly, else 0, and their mean."""
        classes = torch.arange(model.event.size or 2, device=evidence.batch.x.device).to(evidence.batch.x.dtype)
        right = []
        for y, _, context in evidence.batch.blocks(BLOCK):
            each = [model.log_prob(torch.full_like(y, float(one)), context) for one in classes]
            right.append(classes[torch.stack(each).argmax(0)].eq(y.flatten()))
        hits = torch.cat(right).double()
        share, num = float(hits.mean()), len(hits)
        error = math.sqrt(share * (1 - share) / num)
        low, high = binomial_interval(int(hits.sum()), num)
        return hits, Estimate("accuracy", share, error, (low, high), "estimate", "none", samples=num)


def binomial_interval(hits: int, num: int) -> tuple[float, float]:
    """Returns the 99.7 % interval of a probability, which covers at least as often, whatever the probability.

    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial.
    """
    from scipy.special import betaincinv

    low = float(betaincinv(hits, num - hits + 1, 1 - ONE_SIDED)) if hits else 0.0
    return low, float(betaincinv(hits + 1, num - hits, ONE_SIDED)) if hits < num else 1.0
