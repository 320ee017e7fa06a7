"""Nearest neighbours of rows, and the share of rows that lie in balls around others, as far as their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.protocols.intervals import share_interval
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Estimate, Evidence

BLOCK = 500
"""Number of rows whose distances are found together."""
LISTED = 10
"""Number of neighbours that are listed for each of k: of a resample, which has 63 % of the rows, k are among them."""
LONE = "there are no more than `fidelity.{}.k` different rows around which to draw balls: they reach to the farthest"


def nearest(
    x: Float64[Tensor, "rows features"], among: Float64[Tensor, "others features"], k: int = 1
) -> tuple[Float64[Tensor, "rows k"], Int64[Tensor, "rows k"]]:
    """Returns distances of each row of x from its k nearest rows `among` others, and which these are.

    They are found by products, and then measured by differences, in which close rows do not cancel.
    """
    centre = among.mean(0)
    x, among, found = x - centre, among - centre, []
    for block in tracked(x.split(BLOCK)):
        which = torch.cdist(block, among).topk(k, largest=False).indices
        found.append((which, (block[:, None] - among[which]).square().sum(2).sqrt()))
    which, distance = map(torch.cat, zip(*found, strict=True))
    distance, order = distance.sort(dim=1, stable=True)
    return distance, which.gather(1, order)


@dataclass(frozen=True)
class Balls(FeatureMethod):
    r"""Share of rows in the union of balls around others, each as large as the distance of its k-th nearest other.

    .. math:: \frac{1}{m} \sum_j 1\left[\min_i \left(\lVert y_j - x_i \rVert - r_i\right) \le 0\right],
              \qquad r_i = \lVert x_i - \mathrm{NN}_k(x_i) \rVert

    Neighbours are distinct rows: of data that have each image several times, the k-th nearest would otherwise be the
    image itself, all balls points, and the share 0.

    The standard error is that of the bootstrap, of both kinds of rows at once. As it is 0 where all or none are inside,
    the interval is the union of that by Student's t and that of the binomial law. The share depends on how many rows
    there are and on k: only figures of equal numbers can be compared.

    References:
        Kynkaanniemi, Karras, Laine, Lehtinen and Aila (2019), Improved precision and recall metric for assessing
        generative models, https://arxiv.org/abs/1904.06991, equations 1 and 2.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.
        k: which neighbour a ball reaches to.
        resamples: number of resamples of the bootstrap.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    k: int = 3
    resamples: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("k", 1)
        self.at_least("resamples", 2)

    def share(self, x: Tensor, y: Tensor, samples: int, evidence: Evidence) -> tuple[Tensor, Estimate]:
        """Returns 1 for each row of y in a ball around a row of x, else 0, and their share."""
        centres, back = x.unique(dim=0, return_inverse=True)
        is_there = torch.zeros(self.resamples + 1, len(centres), dtype=torch.bool)
        is_there[0] = True
        drawn = torch.randint(len(x), (self.resamples, len(x)))
        is_there[1:] = is_there[1:].scatter(1, back[drawn], True)
        inside = within(y, centres, self._radii(centres, is_there))
        often = torch.randint(len(y), (self.resamples, len(y)))
        error = float(inside[1:].gather(1, often).double().mean(1).std())
        hits = inside[0].double()
        value = float(hits.mean())
        return hits, Estimate(
            self.quantity,
            value=value,
            standard_error=error,
            interval=share_interval(value, error, len(y), min(len(x), len(y))),
            kind="estimate",
            bias="unknown",
            samples=samples,
            settings=self.settings(evidence),
            diagnostics={"distinct": len(centres)},
            warnings=[LONE.format(self.quantity)] * (len(centres) <= self.k),
        )

    def _radii(self, centres: Tensor, is_there: Tensor) -> Float64[Tensor, "resamples centres"]:
        """Distance of each centre from its k-th nearest of those that are there; -1 of those that are not."""
        listed = min(len(centres) - 1, LISTED * self.k + 1)
        if not listed:
            return is_there.double() - 1
        distance, which = (part[:, 1:] for part in nearest(centres, centres, listed + 1))
        count = is_there[:, which].cumsum(2)
        place = (count < min(self.k, listed)).sum(2).clamp(max=listed - 1)
        return distance.expand(len(is_there), -1, -1).gather(2, place[..., None])[..., 0].where(is_there, -1.0)


def within(
    y: Float64[Tensor, "rows features"],
    centres: Float64[Tensor, "centres features"],
    radii: Float64[Tensor, "resamples centres"],
) -> Tensor:
    """Returns whether each row of y is in a ball of each resample, [resamples, rows]."""
    blocks = []
    for block in tracked(y.split(BLOCK)):
        distance = torch.cdist(centres, block, compute_mode="donot_use_mm_for_euclid_dist")
        blocks.append(torch.stack([(distance <= each[:, None]).any(0) for each in radii]))
    return torch.cat(blocks, 1)
