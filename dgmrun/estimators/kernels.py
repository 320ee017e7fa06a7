r"""Squared maximum mean discrepancy between two samples, without bias, with the standard error of the jackknife.

.. math:: \mathrm{MMD}^2_u = \frac{1}{n(n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m(m-1)} \sum_{i \ne j} k(y_i, y_j)
          - \frac{2}{nm} \sum_{i, j} k(x_i, y_j)

As all of it is sums over rows of the kernel, the value without one row is known of each, and the jackknife costs
nothing. Its variance is never too small in the mean. A bootstrap repeats rows, whose kernel with themselves is the
largest of all.

References:
    Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012), A kernel two-sample test, JMLR 13, equation 3.
    Efron and Stein (1981), The jackknife estimate of variance, Annals of Statistics 9, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence, half_width

Kernel = Callable[[Tensor, Tensor], Tensor]
BLOCK = 500
"""Number of rows of a kernel that are held at once."""
FEWEST = 3
"""Smallest number of rows of a sample, of which one is left out and two make a pair."""


def products(
    kernel: Kernel, z: Float64[Tensor, "rows features"], w: Float64[Tensor, "rows columns"]
) -> Float64[Tensor, "rows columns"]:
    """Returns K w, of the kernel without its diagonal, k(z_i, z_j) for i != j, which is never held as a whole."""
    blocks = []
    for start in tracked(range(0, len(z), BLOCK)):
        k = kernel(z[start : start + BLOCK], z)
        k.diagonal(start).zero_()
        blocks.append(k @ w)
    return torch.cat(blocks)


def squared_mmd(
    w: Float64[Tensor, "rows columns"], kw: Float64[Tensor, "rows columns"], total: Float64[Tensor, "rows"]
) -> Float64[Tensor, "columns"]:
    """Returns the squared discrepancy of the rows where w is 1 from those where it is 0, for each column.

    Args:
        w: which rows are in the first sample.
        kw: `products` of w.
        total: sums over all columns of the kernel, `products` of ones.
    """
    n = w.sum(0)
    m = len(w) - n
    xx = (w * kw).sum(0)
    yx = kw.sum(0) - xx
    yy = total.sum() - xx - 2 * yx
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * yx / (n * m)


def jackknife(kx: Float64[Tensor, "rows"], ky: Float64[Tensor, "rows"], n: int) -> tuple[float, float]:
    """Returns the squared discrepancy and its standard error.

    Args:
        kx: sums of the kernel of each row with the first sample, itself left out.
        ky: those with the second sample.
        n: size of the first sample, whose rows come first.
    """
    m = len(kx) - n
    xx, yy, xy = kx[:n].sum(), ky[n:].sum(), ky[:n].sum()
    value = float(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))
    return value, math.hypot(_spread(kx[:n], ky[:n], xx, xy, m), _spread(ky[n:], kx[n:], yy, xy, n))


def _spread(own: Tensor, other: Tensor, within: Tensor, between: Tensor, m: int) -> float:
    """Standard deviation that one sample brings in, from the values without each of its rows."""
    n = len(own)
    without = (within - 2 * own) / ((n - 1) * (n - 2)) - 2 * (between - other) / ((n - 1) * m)
    return math.sqrt((n - 1) / n * float((without - without.mean()).square().sum()))


def interval(value: float, error: float, least: int) -> tuple[float, float]:
    r"""Returns the 99.7 % interval of a squared discrepancy, by Student's t with the size of the smaller sample.

    Its variance grows in proportion to it: where it is estimated low, so is its error. The upper end u therefore is
    where the estimate v would be t of the errors there, :math:`(u - v)^2 = t^2 \mathrm{SE}^2 (1 + (u - v) / v)`, with
    t SE in place of v if that is larger; as in the interval of Wilson (1927), Probable inference.
    """
    half = half_width(error, least)
    further = half**2 / max(value, half) / 2 if half else 0.0
    return value - half, value + further + math.hypot(further, half)


def estimated(
    method: FeatureMethod, kx: Float64[Tensor, "rows"], ky: Float64[Tensor, "rows"], n: int, evidence: Evidence
) -> Estimate:
    """Returns the squared discrepancy of n examples and samples, from sums of the kernel as of `jackknife`.

    Samples with the contexts of the examples are not independent of these: the figure is then low.
    """
    value, error = jackknife(kx, ky, n)
    low, high = interval(value, error, min(n, len(kx) - n))
    is_told = evidence.batch.context is not None
    return Estimate(
        method.quantity,
        value=value,
        standard_error=error,
        interval=(low, None if is_told else high),
        kind="estimate",
        bias="down" if is_told else "none",
        samples=len(kx) - n,
        settings=method.settings(evidence),
    )
