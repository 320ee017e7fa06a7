r"""Maximum mean discrepancy with a Gaussian kernel, squared and without bias, and its test.

.. math:: k(x, y) = \exp\left(-\frac{\lVert x - y \rVert^2}{2 \sigma^2}\right)

It is 0 for equal distributions alone. The test asks whether they are: rows of both samples are dealt out anew, and its
p-value is the share of such deals whose discrepancy is not below that of the samples,

.. math:: p = \frac{1 + \#\{b : \mathrm{MMD}^2_b \ge \mathrm{MMD}^2\}}{1 + B}

which, for equal distributions, is at most a with a probability of at most a, whatever the number of rows.

References:
    Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012), A kernel two-sample test, JMLR 13, equation 3 and section 8:
    the median distance as the width.
    Phipson and Smyth (2010), Permutation p-values should never be zero, https://doi.org/10.2202/1544-6115.1585.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.estimators.kernels import FEWEST, estimated, products, squared_mmd
from dgmrun.protocols.values import Estimate, Evidence

SEEN = 1000
"""Number of rows whose distances have the median that is the width."""
ROUNDING = 1e-12
"""Rounding error of mean kernels, by which the same deal can differ from itself."""


@dataclass(frozen=True)
class MMD(FeatureMethod):
    """The squared discrepancy of features, of 2 at most, and the p-value of its test as a diagnostic.

    It costs n + m squared kernels, each with as many multiplications as there are features and permutations. Figures of
    runs are comparable if they have the same width, which is a diagnostic, too.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.
        width: standard deviation sigma of the kernel; None for the median distance of up to 1000 rows of both samples.
        permutations: number B of deals.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    quantity: ClassVar[str] = "mmd"
    fewest: ClassVar[int] = FEWEST
    width: float | None = None
    permutations: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("permutations", 1)
        if self.width is not None and not 1e-9 < self.width < 1e9:
            raise ValueError(f"`fidelity.mmd.width` must be a number from 1e-9 to 1e9, or null, but is {self.width}")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns the witness of each sample, k with samples less k with examples in the mean, and the estimate."""
        x, y = self.drawn(model, evidence)
        z, n, m = torch.cat([x, y]), len(x), len(y)
        width = self.width or median_distance(z)
        is_x = torch.cat([x.new_ones(n), x.new_zeros(m)])
        deals = torch.stack([is_x[torch.randperm(n + m)] for _ in range(self.permutations)], 1)
        kw = products(partial(gaussian, width=width), z, torch.cat([is_x[:, None], 1 - is_x[:, None], deals], 1))
        kx, ky = kw[:, 0], kw[:, 1]
        estimate = estimated(self, kx, ky, n, evidence)
        above = squared_mmd(deals, kw[:, 2:], kx + ky) >= estimate.value - ROUNDING
        p = (1 + int(above.sum())) / (1 + self.permutations)
        estimate.diagnostics.update(p_value=None if evidence.batch.context is not None else p, width=width)
        return ky[n:] / (m - 1) - kx[n:] / n, estimate


def gaussian(x: Tensor, y: Tensor, width: float) -> Tensor:
    """The kernel of rows x [n, F] and y [m, F], [n, m]."""
    return torch.cdist(x, y).square_().div_(-2 * width**2).exp_()


def median_distance(z: Float64[Tensor, "rows features"]) -> float:
    """Median distance of two of at most 1000 rows at random; 1 if that is 0, as where most rows are equal."""
    some = z[torch.randperm(len(z))[:SEEN]]
    return float(torch.pdist(some).median()) or 1.0
