r"""Divergence of a posterior that has samples only from the exact one, which is a known Gaussian.

.. math:: \mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x)) = -H(q) - E_q[\log p(z \mid x)], \qquad
          \hat H = \psi(N) - \psi(k) + \log V_d + \frac{d}{N} \sum_i \log \rho_i

with the distance rho_i of a sample to its k-th nearest neighbour, and the volume V_d of a unit ball. Samples are
standardised by the exact posterior first, which changes no divergence. The same estimate of as many exact samples,
whose divergence is 0, is subtracted: the bias of the entropy cancels, wholly where q is p. Where units of q depend on
each other and q is far from p, what is left is low.

References:
    Kozachenko and Leonenko (1987), Sample estimate of the entropy of a random vector.
    Kraskov, Stoegbauer and Grassberger (2004), Estimating mutual information, equation 20: for any k.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.contrast import Simulating
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.values import Batch, Estimate, Evidence, half_width

NEIGHBOUR = 5
"""k: larger ones scatter less, and blur."""
EXAMPLES = 10
"""Number of examples whose samples are compared at a time, N^2 distances each."""


@dataclass(frozen=True)
class PosteriorKL(FidelityMethod):
    """Mean over examples of KL(q(z | x) || p(z | x)), in nats. It costs num_samples^2 distances of each example.

    Args:
        num_samples: number N of samples of each posterior.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Simulating
    num_samples: int = 500

    def __post_init__(self) -> None:
        if self.num_samples <= NEIGHBOUR:
            raise ValueError(
                f"`fidelity.posterior_kl.num_samples` must be above {NEIGHBOUR}, but is {self.num_samples}"
            )

    def is_automatic(self, model: Any) -> bool:
        """Returns whether the exact posterior is known."""
        return model.exact_posterior(torch.zeros(1, *model.event.shape)) is not None

    def check(self, model: Any) -> None:
        """Raises ValueError if the exact posterior is not known."""
        if not self.is_automatic(model):
            raise ValueError("`fidelity.methods` can have posterior_kl only where the simulator knows its posterior")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the divergence for each example, and their mean."""

        def of_block(block: Batch) -> Tensor:
            p = model.exact_posterior(block.x)
            z = model.infer(block.x, self.num_samples).to(p.loc)
            u = torch.linalg.solve_triangular(p.scale_tril, (z - p.loc).unsqueeze(-1), upper=False).squeeze(-1)
            return divergence(u) - divergence(torch.randn_like(u))

        values = torch.cat(of_blocks(of_block, evidence.batch, EXAMPLES))
        num, value = len(values), float(values.mean())
        error = float(values.std()) / math.sqrt(num) if num > 1 else None
        half = None if error is None else half_width(error, num)
        return values, Estimate(
            "posterior_kl",
            value=value,
            standard_error=error,
            interval=None if half is None else (value - half, None),
            kind="estimate",
            bias="down",
            samples=self.num_samples,
            settings=asdict(self),
            warnings=["one example has no standard error"] * (error is None),
        )


def divergence(u: Float64[Tensor, "samples batch units"]) -> Float64[Tensor, "batch"]:
    """Estimates KL(q || N(0, I)) from samples of q, for each example."""
    num, _, units = u.shape
    by_example = u.transpose(0, 1)
    nearest = torch.cdist(by_example, by_example).topk(NEIGHBOUR + 1, largest=False).values  # the first is itself
    log_volume = units / 2 * math.log(math.pi) - math.lgamma(units / 2 + 1)
    of_counts = torch.digamma(torch.tensor([num, NEIGHBOUR], dtype=u.dtype, device=u.device))
    entropy = of_counts[0] - of_counts[1] + log_volume + units * nearest[..., -1].log().mean(1)
    log_p = -(u.square().sum(-1) + units * math.log(2 * math.pi)).mean(0) / 2
    return -entropy - log_p
