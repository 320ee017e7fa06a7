r"""log p(x) of a latent variable model by annealing from p(z) to p(z|x), and back: bidirectional Monte Carlo.

Forwards, from samples of the prior, the mean weight of each example's chains is unbiased for p(x): a lower bound on
log p(x) in the mean. Backwards, from an exact sample of p(z|x), it is unbiased for 1 / p(x): an upper bound. Such a
sample is at hand only for x that the model made itself, together with z.

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

from dgmrun.estimators.annealing import SPACINGS, anneal, check_settings
from dgmrun.estimators.marginal import lower_bound
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Annealable, AnnealingPath
from dgmrun.protocols.values import Batch, Estimate, Evidence

CHAINS = 2000
"""Chains that move together."""


PILOT, TEMPERATURES, PILOT_CHAINS = 10, 100, 4
"""Step sizes are tuned on one in so many of the temperatures, but on at least so many, by so many chains."""


@dataclass(frozen=True)
class LatentAIS(LikelihoodMethod):
    """log p(x) from below, by annealing: costs `num_chains * num_temperatures` trajectories of ten steps an example.

    Args:
        num_chains: chains of each example.
        num_temperatures: inverse temperatures from 0 to 1, both ends counted.
        spacing: `sigmoid`, `linear`, `quadratic` or `published`.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = Annealable
    num_chains: int = 16
    num_temperatures: int = 1000
    spacing: str = "sigmoid"

    def __post_init__(self) -> None:
        check_settings("likelihood.ais", self, least_chains=1)

    def is_automatic(self, model: object) -> bool:
        """Only where it is asked for."""
        return False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """The bound of each example, and their mean."""
        betas = SPACINGS[self.spacing](self.num_temperatures)
        blocks = evidence.batch.blocks(max(1, CHAINS // self.num_chains))
        bounds = torch.cat([forwards(tuned_path(model, block, betas), self.num_chains, betas) for block in blocks])
        return bounds, lower_bound(bounds, asdict(self))


def forwards(path: AnnealingPath, num_chains: int, betas: Tensor) -> Float64[Tensor, "batch"]:
    """log of the mean weight of each example's chains, from samples of the prior."""
    return iwae(anneal(path, path.start(num_chains), betas)[1])


def tuned_path(model: Any, batch: Batch, betas: Tensor) -> AnnealingPath:
    """The path of these examples, its step sizes tuned by a run of its own."""
    pilot = torch.linspace(0, len(betas) - 1, max(TEMPERATURES, len(betas) // PILOT)).long()
    return model.posterior_path(batch.x, batch.context).tuned(betas[pilot], PILOT_CHAINS)
