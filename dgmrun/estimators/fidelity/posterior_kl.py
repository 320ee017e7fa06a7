r"""Divergence of a posterior that is known by its samples from the exact one, which has a density.

.. math:: \mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x)) = -H(q) - E_q[\log p(z \mid x)], \qquad
          \hat H = \psi(N) - \psi(k) + \log V_d + \frac{d}{N} \sum_i \log \rho_i

with the distance rho_i of a sample to its k-th nearest neighbour, and the volume V_d of a unit ball. The same estimate
of as many exact samples, whose divergence is 0, is subtracted: the bias of the entropy cancels, wholly where q is p.
Distances are in units of these samples, whose covariance becomes the identity, which changes no divergence.

Bias: where units of q depend on each other and q is far from p, what is left is low, as neighbours are further apart
than the width of q. A posterior that has collapsed to a point has an infinite divergence, and samples that coincide:
distances are taken as RESOLUTION at least, so that the figure is a finite number below it, and it says so. The same
holds where q leaves the support of p: log p is taken as LEAST there.

References:
    Kozachenko and Leonenko (1987), Sample estimate of the entropy of a random vector.
    Kraskov, Stoegbauer and Grassberger (2004), Estimating mutual information, equation 20: for any k.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float64, Num
from torch import Tensor
from torch.distributions import Distribution, constraints

from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.contrast import Simulating
from dgmrun.protocols.methods import FidelityMethod, Unmeasurable
from dgmrun.protocols.values import Batch, Estimate, Evidence, half_width
from dgmrun.rng import seeded

NEIGHBOUR = 5
"""k: larger ones scatter less, and blur."""
RESOLUTION = 1e-6
"""Smallest distance, in standard deviations of the exact posterior: samples in single precision are no closer."""
COLLAPSED = "samples of the posterior coincide for {} of {} examples: it has collapsed, and the divergence is larger"
LEAST = -700.0
"""log p where it is -infinity."""
OUTSIDE = (
    "samples of the posterior leave the support of the exact one for {} of {} examples: the divergence is infinite"
)
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
        with seeded(0, "posterior_kl"):
            return model.exact_posterior(model.simulated(1)[1]) is not None

    def check(self, model: Any) -> None:
        """Raises ValueError if the exact posterior is not known."""
        if not self.is_automatic(model):
            raise ValueError("`fidelity.methods` can have posterior_kl only where the simulator knows its posterior")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the divergence for each example, and their mean."""

        def of_block(block: Batch) -> Divergence:
            return divergence(model.infer(block.x, self.num_samples), model.exact_posterior(block.x))

        found = of_blocks(of_block, evidence.batch, EXAMPLES)
        values, is_point, is_outside = map(torch.cat, zip(*found, strict=True))
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
            warnings=["one example has no standard error"] * (error is None)
            + [COLLAPSED.format(int(is_point.sum()), num)] * bool(is_point.any())
            + [OUTSIDE.format(int(is_outside.sum()), num)] * bool(is_outside.any()),
        )


class Divergence(NamedTuple):
    """KL(q || p) of each example in nats; whether samples of q coincide, and whether some leave the support of p."""

    value: Float64[Tensor, "batch"]
    is_point: Bool[Tensor, "batch"]
    is_outside: Bool[Tensor, "batch"]


def divergence(z: Num[Tensor, "samples batch units"], p: Distribution) -> Divergence:
    """Estimates KL(q || p) from samples of q, for each example.

    Args:
        z: samples of q.
        p: the exact posteriors, over z [batch, units], which have a density.

    Raises:
        Unmeasurable: the covariance of as many samples of p is singular.
    """
    drawn = p.sample(z.shape[:1])
    exact = drawn.double()
    mean = exact.mean(0)
    root, failed = torch.linalg.cholesky_ex(torch.einsum("nbi,nbj->bij", exact - mean, exact - mean) / len(exact))
    if failed.any():
        raise Unmeasurable(
            f"`fidelity.posterior_kl.num_samples` must be so large that exact samples differ in all {z.shape[2]} units "
            f"of z, but is {len(z)}: raise it, unless the exact posterior itself is a point"
        )

    def neighbours(z: Tensor) -> Tensor:
        u = torch.linalg.solve_triangular(root, (z - mean).unsqueeze(-1), upper=False).squeeze(-1).transpose(0, 1)
        distance = torch.cdist(u, u, compute_mode="donot_use_mm_for_euclid_dist")  # exact, however far from 0
        rho = distance.topk(NEIGHBOUR + 1, largest=False).values[..., -1]  # the first is the sample itself
        return rho.clamp(min=RESOLUTION)

    rho_q, rho_p = neighbours(z.to(exact)), neighbours(exact)
    log_p_q, log_p_p = _log_prob(p, z.to(drawn), drawn), _log_prob(p, drawn, drawn)
    entropies = z.shape[2] * (rho_p.log() - rho_q.log()).mean(1)
    value = entropies + (log_p_p - log_p_q.nan_to_num(neginf=LEAST)).mean(0)
    return Divergence(value, (rho_q <= RESOLUTION).any(1), log_p_q.isneginf().any(0))


def _log_prob(p: Distribution, z: Tensor, drawn: Tensor) -> Float64[Tensor, "samples batch"]:
    """log p(z), -infinity outside of the support; there, p is asked for what was drawn instead, as it may refuse z."""
    try:
        support = p.support or constraints.real
    except NotImplementedError:
        support = constraints.real
    is_inside = support.check(z).reshape(*z.shape[:2], -1).all(2)
    log_p = p.log_prob(torch.where(is_inside.unsqueeze(2), z, drawn)).double().reshape(*z.shape[:2], -1).sum(2)
    return log_p.masked_fill(~is_inside, -math.inf)
