"""Coverage of known modes of the data by samples of a model.

References:
    Lin, Khetan, Fanti and Oh (2018), PacGAN, https://arxiv.org/abs/1712.04086, section 4.1.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.sampling import scored
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import Sampler
from dgmrun.protocols.values import Estimate, Evidence


@dataclass(frozen=True)
class Coverage(FidelityMethod):
    """Share of modes with a sample within their radius; more samples can only increase it.

    Args:
        num_samples: number of samples of the model.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Sampler
    needs: ClassVar[str | None] = "modes"
    is_per_example: ClassVar[bool] = False
    num_samples: int = 2500

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"`fidelity.coverage.num_samples` must be at least 1, but is {self.num_samples}")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns the distance of each sample from the nearest mode, in units of its radius, and the coverage."""
        assert evidence.modes is not None
        centres, reach = evidence.modes
        x = scored(model, evidence, self.num_samples).double().flatten(1)
        distance, nearest = (torch.cdist(x, centres.double()) / reach).min(1)
        near = distance < 1
        covered, share = len(nearest[near].unique()), float(near.double().mean())
        value = covered / len(centres)
        return distance, Estimate(
            "coverage",
            value=value,
            standard_error=None,
            interval=(value, None),
            kind="lower_bound",
            bias="down",
            samples=self.num_samples,
            settings=asdict(self),
            diagnostics={
                "modes": len(centres),
                "covered": covered,
                "near": share,
                "standard_error_near": math.sqrt(share * (1 - share) / self.num_samples),
            },
            warnings=["a mode that no sample has reached may have some probability: it has no standard error"],
        )
