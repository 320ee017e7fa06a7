r"""Importance-weighted lower bounds on log p(x) of a latent variable model, in expectation, in nats.

.. math:: E_q[\log w] \le E_q\Big[\log \frac{1}{K} \sum_i w_i\Big] \le \log p(x), \qquad w = p(x, z) / q(z \mid x)

References:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519.
    Wu, Burda, Salakhutdinov and Grosse (2017), https://arxiv.org/abs/1611.04273: how far below it can be.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.local import check_model, local
from dgmrun.estimators.log_mean import counts
from dgmrun.estimators.marginal import (
    EXAMPLES,
    Curve,
    active_units,
    check_settings,
    lower_bound,
    mean_and_low,
    posterior_means,
    traces,
)
from dgmrun.estimators.shares import of_blocks
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Inference
from dgmrun.protocols.values import Batch, Estimate, Evidence


@dataclass(frozen=True)
class Importance(LikelihoodMethod):
    """Log of the mean importance weight of K samples of z; with K = 5,000, the standard figure in the literature.

    Costs one decoder pass for each example and sample. Even with 10^5 samples it can be a nat below log p(x).

    Args:
        num_samples: number of samples K of z for each example.
        local_steps: as in `ELBO`.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Inference
    num_samples: int = 5000
    local_steps: int | None = None

    def __post_init__(self) -> None:
        check_settings("importance", self)

    def check(self, model: Inference) -> None:
        """Raises ValueError if `local_steps` is set, but the posterior is not reparameterised."""
        check_model("importance", self.local_steps, model)

    def quick(self, model: Inference) -> Importance:
        """Returns a version with 10 samples."""
        return replace(self, num_samples=10, local_steps=None)

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""
        weighed = of_blocks(partial(self._weighed, model), evidence.batch, EXAMPLES)
        bounds = torch.cat([block.bounds for block in weighed], 1)
        sizes = torch.cat([block.sample_size for block in weighed])
        means = [torch.cat(layer) for layer in zip(*(block.means for block in weighed), strict=True)]
        diagnostics: dict[str, float | None] = {"median_effective_sample_size": float(sizes.median())}
        diagnostics |= {f"active_units_{layer}": active_units(mean) for layer, mean in enumerate(means, 1)}
        rows = zip(counts(self.num_samples, 1), map(mean_and_low, bounds), strict=True)
        curve: Curve = [(num, value, low, None) for num, (value, low) in rows]
        estimate = lower_bound(bounds[-1], asdict(self), diagnostics, curve)
        return bounds[-1], estimate

    @torch.no_grad()
    def _weighed(self, model: Any, batch: Batch) -> Weighed:
        """Computes L_n of a block of examples for every number of samples n of the curve."""
        posterior = local(model, batch, self.local_steps)
        means = posterior_means(model, batch, posterior)
        total = batch.x.new_full((len(batch.x),), -math.inf, dtype=torch.float64)
        squares, bounds, done = total.clone(), [], 0
        for most in counts(self.num_samples, 1):
            for rows, trace in traces(model, batch, posterior, most - done):
                log_w = trace.log_w.double()
                total[rows] = torch.logaddexp(total[rows], torch.logsumexp(log_w, 0))
                squares[rows] = torch.logaddexp(squares[rows], torch.logsumexp(2 * log_w, 0))
            done = most
            bounds.append(total - math.log(most))
        return Weighed(torch.stack(bounds), (2 * total - squares).exp(), means)


class Weighed(NamedTuple):
    """Bounds and diagnostics of a block of examples.

    Args:
        bounds: L_n for every number of samples n of the curve, [counts, examples].
        sample_size: effective sample size of each example.
        means: posterior means of the units of each layer, [examples, units].
    """

    bounds: Tensor
    sample_size: Tensor
    means: list[Tensor]
