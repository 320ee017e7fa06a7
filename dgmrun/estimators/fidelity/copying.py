r"""Copying of training examples: whether samples are nearer to them than unseen examples are.

.. math:: \Pr\left[d(y, T) < d(x, T)\right] + \tfrac12 \Pr\left[d(y, T) = d(x, T)\right]

for a sample y and an example x that was not trained on, with the distance d of features from the nearest of training,
T. It is 1/2 of a model of the truth, near 1 of one that repeats what it was shown, and below 1/2 of one whose
samples are far from all data. It is one less the statistic that Meehan et al. test by the z of Mann and Whitney, which
is a diagnostic here, above 0 where samples copy. The training examples are given: errors are not of them.

References:
    Meehan, Chaudhuri and Dasgupta (2020), A non-parametric test to detect data-copying in generative models,
    https://arxiv.org/abs/2004.05675, section 3.
    DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated receiver operating
    characteristic curves, Biometrics 44: the standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.features import FeatureMethod
from dgmrun.estimators.neighbours import nearest
from dgmrun.protocols.intervals import share_interval
from dgmrun.protocols.values import Estimate, Evidence

TRAINED = "half of the examples or more are training examples: fidelity.split=test has others"


@dataclass(frozen=True)
class Copying(FeatureMethod):
    """The probability, and the share of samples that equal a training example as a diagnostic.

    It costs a product of the features of training examples with those of examples and samples.

    Args:
        num_samples: number of samples of the model; None for as many as there are examples.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    quantity: ClassVar[str] = "copying"

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "samples"], Estimate]:
        """Returns the distance of each sample from its nearest training example, and the estimate."""
        assert evidence.train is not None
        x, y, train = self.drawn(model, evidence, evidence.train)
        unseen, own = (nearest(part, train)[0][:, 0] for part in (x, y))
        value, error = _probability(own.float(), unseen.float())  # in which sums of the same terms are equal
        n, m = len(x), len(y)
        equal, trained = (float((part == 0).double().mean()) for part in (own, unseen))
        return own, Estimate(
            "copying",
            value=value,
            standard_error=error,
            interval=share_interval(value, error, min(n, m), min(n, m)),
            kind="estimate",
            bias="none",
            samples=m,
            settings=self.settings(evidence),
            diagnostics={"z": (value - 0.5) / math.sqrt((n + m + 1) / (12 * n * m)), "equal": equal},
            warnings=[TRAINED] * (trained >= 0.5),
        )


def _probability(own: Tensor, unseen: Tensor) -> tuple[float, float]:
    """Probability that one of `own` is below one of `unseen`, ties counted half, and its standard error."""
    of_own, of_unseen = _above(own, unseen), 1 - _above(unseen, own)
    error = math.sqrt(float(of_own.var()) / len(own) + float(of_unseen.var()) / len(unseen))
    return float(of_own.mean()), error


def _above(values: Tensor, others: Tensor) -> Float64[Tensor, "values"]:
    """Share of others above each value, ties counted half."""
    ordered = others.sort().values
    below, up_to = (torch.searchsorted(ordered, values, right=right).double() for right in (False, True))
    return 1 - (below + up_to) / (2 * len(others))
