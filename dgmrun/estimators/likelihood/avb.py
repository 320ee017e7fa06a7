r"""Evidence lower bound of a posterior without a density, as far as a learned ratio is right: an estimate of no side.

.. math:: E_q[\log p(x, z) - \log r(z \mid x) - T(x, z)] = E_q[\log p(x, z) - \log q(z \mid x)] + E_q[T^* - T]

A ratio net T that has not learned how far q is from r overstates the bound, by any amount. The published figures of
plain AVB exceed annealing with the same decoder by 7 nats; a figure that exceeds `ais` of the same examples is flagged.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722, equation 3.7.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.marginal import pairs
from dgmrun.estimators.shares import of_blocks
from dgmrun.latent.contrast import terms
from dgmrun.protocols.contrast import Contrasted
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.values import Batch, Estimate, Evidence


@dataclass(frozen=True)
class AdversarialELBO(LikelihoodMethod):
    """The objective of training by `avb`, in nats. Its interval is open at both ends, so that it is not ranked.

    Its standard error is over examples, and knows nothing of the error of T.

    Args:
        num_samples: number of samples of z for each example.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Contrasted
    may_exceed: ClassVar[bool] = True
    num_samples: int = 100

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"`likelihood.avb.num_samples` must be at least 1, but is {self.num_samples}")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the estimate for each example, and their mean."""

        def of_block(block: Batch) -> tuple[Tensor, Tensor]:
            found = terms(model, block.x, self.num_samples, block.context)
            return found.elbo.double().mean(0), found.log_contrast.double().mean(0)

        size = max(1, pairs(evidence.batch.rows(slice(1)).x) // self.num_samples)
        elbo, log_contrast = map(torch.cat, zip(*of_blocks(of_block, evidence.batch, size), strict=True))
        error = float(elbo.std()) / math.sqrt(len(elbo)) if len(elbo) > 1 else None
        return elbo, Estimate(
            "log_likelihood",
            value=float(elbo.mean()),
            standard_error=error,
            interval=(None, None),
            kind="estimate",
            bias="unknown",
            samples=self.num_samples,
            settings=asdict(self),
            diagnostics={"log_contrast": float(log_contrast.mean())},
            warnings=["one example has no standard error"] * (error is None),
        )
