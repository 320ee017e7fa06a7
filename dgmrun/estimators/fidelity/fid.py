r"""Frechet inception distance: squared Wasserstein distance of Gaussians fitted to features of examples and of samples.

.. math:: \mathrm{FID} = \lVert \mu_x - \mu_y \rVert^2
          + \mathrm{tr}\left(\Sigma_x + \Sigma_y - 2 (\Sigma_x^{1/2} \Sigma_y \Sigma_x^{1/2})^{1/2}\right)

Its bias is upwards, nearly in proportion to one over the number of rows, and depends on the model: figures of different
numbers of rows cannot be compared, and even of the same number a model can be ahead by its bias alone. It is measured
on halves and quarters of the rows, too, and a line through these, in one over their number, gives that of infinitely
many, FID_infinity. The interval reaches from that, less its error, to FID with its own.

Both errors are those of the bootstrap, of examples and samples at once.

References:
    Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter (2017), GANs trained by a two time-scale update rule converge
    to a local Nash equilibrium, https://arxiv.org/abs/1706.08500, equation 6.
    Chong and Forsyth (2020), Effectively unbiased FID and Inception Score and where to find them,
    https://arxiv.org/abs/1911.07023, section 3: FID_infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence, half_width

PARTS = (4, 2, 1)
"""Numbers of parts that the rows are dealt out to, each of which has a distance of its own."""
WEIGHTS = (-0.5, 0.5, 1.0)
"""Weights of their mean distances in the intercept of the least-squares line through them, over the number of parts."""


@dataclass(frozen=True)
class FID(FeatureMethod):
    """The distance, and FID_infinity as a diagnostic; each resample costs seven pairs of covariances.

    Use at least several times as many rows as there are features: of fewer, covariances are singular, the bias is no
    longer in proportion to one over their number, and the interval is open below. KID has no bias.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.
        resamples: number of resamples of the bootstrap.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    quantity: ClassVar[str] = "fid"
    fewest: ClassVar[int] = 2 * max(PARTS)
    resamples: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("resamples", 2)

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns the squared distance of each sample from the mean of the examples, and the estimate."""
        x, y = (part[torch.randperm(len(part))] for part in self.drawn(model, evidence))
        found = of_parts(x, y)
        drawn = [of_parts(*map(_resampled, (x, y))) for _ in tracked(range(self.resamples))]
        errors = torch.stack([torch.stack((each[-1], infinite(each))) for each in drawn]).std(0).tolist()
        value, limit, least = float(found[-1]), float(infinite(found)), min(len(x), len(y))
        is_singular = least // max(PARTS) <= x.shape[1]
        below, above = (half_width(error, least) for error in reversed(errors))
        many = f"have quarters of more rows than {x.shape[1]} features: fidelity.fid.num_samples, fidelity.examples"
        return (y - x.mean(0)).square().sum(1), Estimate(
            "fid",
            value=value,
            standard_error=errors[0],
            interval=(None if is_singular else max(0.0, min(limit - below, value)), value + above),
            kind="estimate",
            bias="up",
            samples=len(y),
            settings=self.settings(evidence),
            diagnostics={"fid_infinity": limit, "standard_error_infinity": errors[1], "features": x.shape[1]},
            warnings=[f"its bias is large and not in proportion to one over the number of rows: {many}"] * is_singular,
            curve=[(len(y) // parts, float(each), None, None) for parts, each in zip(PARTS, found, strict=True)],
        )


def _resampled(rows: Tensor) -> Tensor:
    return rows[torch.randint(len(rows), (len(rows),))]


def of_parts(x: Tensor, y: Tensor) -> Float64[Tensor, "parts"]:
    """Mean distances of disjoint parts of the rows of x and y, in the order of `PARTS`."""
    means = []
    for parts in PARTS:
        pairs = zip(x.tensor_split(parts), y.tensor_split(parts), strict=True)
        means.append(torch.stack([frechet(*moments(one), *moments(other)) for one, other in pairs]).mean())
    return torch.stack(means)


def infinite(of_each: Float64[Tensor, "parts"]) -> Tensor:
    """Intercept of the line through the mean distances over the number of parts: that of infinitely many rows."""
    return of_each @ of_each.new_tensor(WEIGHTS)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [F] and unbiased covariance [F, F] of rows x [n, F]."""
    return x.mean(0), x.T.cov().reshape(x.shape[1], x.shape[1])


def frechet(mean_x: Tensor, cov_x: Tensor, mean_y: Tensor, cov_y: Tensor) -> Tensor:
    """Squared Wasserstein distance of two Gaussians, which may be singular.

    Eigenvalues are those of symmetric matrices, so that rounding makes none complex.
    """
    values, vectors = torch.linalg.eigh(cov_x)
    root = vectors * values.clamp(min=0).sqrt()  # root root^T = cov_x
    of_product = torch.linalg.eigvalsh(root.T @ cov_y @ root).clamp(min=0)
    return (mean_x - mean_y).square().sum() + cov_x.trace() + cov_y.trace() - 2 * of_product.sqrt().sum()
