r"""Laplace's approximation: the integral of the Gaussian that has the mode of f, and its curvature there.

.. math:: \log Z \approx \log f(\hat x) + \frac{D}{2} \log 2 \pi - \frac{1}{2} \log |{-\nabla^2} \log f(\hat x)|

References:
    Laplace (1774), Memoire sur la probabilite des causes par les evenements.
    Tierney and Kadane (1986), Accurate approximations for posterior moments and marginal densities.
    MacKay (1992), Bayesian interpolation, section 3.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dgmrun.estimators.density import log_density
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import Peaked
from dgmrun.protocols.values import Batch, Estimate


@dataclass(frozen=True)
class Laplace(LogZMethod):
    """log Z in nats as if f were a Gaussian: costs nothing, and is off by an unknown amount where f is not."""

    requires: ClassVar[type] = Peaked

    def __call__(self, model: Peaked, x: Tensor, proposal: object = None) -> Estimate:
        """Returns log Z of `model`; `x` and `proposal` are unused."""
        mode, precision = model.peak()
        log_f = log_density(model, Batch(mode[None], torch.arange(1)))
        log_volume = len(precision) * math.log(2 * math.pi) - torch.logdet(precision.double())
        return Estimate(
            "log_z",
            value=float(log_f + log_volume / 2),
            standard_error=None,
            interval=None,
            kind="estimate",
            bias="unknown",
            settings=asdict(self),
            warnings=["an approximation without an error bar, exact for a Gaussian alone"],
        )
