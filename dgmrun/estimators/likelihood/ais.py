r"""log p(x) of a latent variable model by annealing between p(z) and p(z|x): bidirectional Monte Carlo.

Forwards, from samples of the prior, the mean weight of each example's chains is unbiased for p(x), which gives a lower
bound on log p(x) in expectation. Backwards, from an exact sample of p(z|x), it is unbiased for 1 / p(x), which gives an
upper bound. Such a sample is available only for x that was sampled from the model together with z.

References:
    Neal (2001), Annealed importance sampling.
    Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo,
    https://arxiv.org/abs/1511.02543.
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.marginal import lower_bound
from dgmrun.estimators.shares import of_blocks
from dgmrun.estimators.spacing import SPACINGS, check_settings, sigmoid, spaced
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Annealable, AnnealingPath
from dgmrun.protocols.values import Batch, Estimate, Evidence

CHAINS = 2000
"""Number of chains that move together."""


PILOT, TEMPERATURES, PILOT_CHAINS = 10, 100, 4
"""Step sizes are tuned at one in PILOT temperatures, but at no fewer than TEMPERATURES, by PILOT_CHAINS chains."""


@dataclass(frozen=True)
class LatentAIS(LikelihoodMethod):
    """Lower bound on log p(x) by annealing from p(z) to p(z|x).

    Costs `num_chains * num_temperatures` HMC trajectories of ten leapfrog steps per example.

    Args:
        num_chains: number of chains of each example.
        num_temperatures: number of inverse temperatures from 0 to 1, both ends included.
        spacing: `sigmoid`, `linear`, `quadratic`, `cubic`, `published` or `adaptive`, by a pilot run for each block.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Annealable
    num_chains: int = 16
    num_temperatures: int = 1000
    spacing: str = "sigmoid"

    def __post_init__(self) -> None:
        check_settings("likelihood.ais", self, least_chains=1)

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""

        def of_block(block: Batch) -> Tensor:
            path, betas = tuned_path(model, block, self)
            return forwards(path, self.num_chains, betas)

        bounds = torch.cat(of_blocks(of_block, evidence.batch, max(1, CHAINS // self.num_chains)))
        return bounds, lower_bound(bounds, asdict(self))


def forwards(path: AnnealingPath, num_chains: int, betas: Tensor) -> Float64[Tensor, "batch"]:
    """Log of the mean weight of each example's chains, started at samples of the prior."""
    return iwae(anneal(path, path.start(num_chains), betas)[1])


def tuned_path(model: Any, batch: Batch, settings: Any) -> tuple[AnnealingPath, Float64[Tensor, "temperatures"]]:
    """Returns the annealing path of these examples, with step sizes tuned in a preliminary run, and its temperatures.

    `adaptive` temperatures are measured on the path tuned along those of `sigmoid`.
    """
    num, spacing = settings.num_temperatures, settings.spacing
    pilot = torch.linspace(0, num - 1, max(TEMPERATURES, num // PILOT)).long()
    betas = SPACINGS.get(spacing, sigmoid)(num)
    path: AnnealingPath = model.posterior_path(batch.x, batch.context).tuned(betas[pilot], PILOT_CHAINS)
    return path, spaced(spacing, num, path, settings.num_chains)
