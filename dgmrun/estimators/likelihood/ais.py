r"""log p(x) of a latent variable model by annealing between p(z) and p(z|x): bidirectional Monte Carlo.

Forwards, from samples of the prior, the mean weight of each example's chains is unbiased for p(x), which gives a lower
bound on log p(x) in expectation. Backwards, from an exact sample of p(z|x), it is unbiased for 1 / p(x), which gives an
upper bound. Such a sample is available only for x that was sampled from the model together with z.

A generator x = g(z), such as that of a GAN, has no density. It is scored as a decoder: p(x|z) = N(x; g(z), s^2 I), with
one scale s for all dimensions, the best on validation data.

References:
    Neal (2001), Annealed importance sampling.
    Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo,
    https://arxiv.org/abs/1511.02543.
    Wu, Burda, Salakhutdinov and Grosse (2017), On the quantitative analysis of decoder-based generative models,
    https://arxiv.org/abs/1611.04273.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.annealing import anneal, together, tuned
from dgmrun.estimators.marginal import lower_bound
from dgmrun.estimators.scale import as_decoder, check_scales, told
from dgmrun.estimators.shares import of_blocks
from dgmrun.estimators.spacing import SPACINGS, WORDS, check_settings, sigmoid, spaced
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Annealable, AnnealingPath
from dgmrun.protocols.smoothed import Noisy, Smoothed
from dgmrun.protocols.values import Batch, Estimate, Evidence

AUTO = "auto"


@dataclass(frozen=True)
class LatentAIS(LikelihoodMethod):
    """Lower bound on log p(x) by annealing from p(z) to p(z|x).

    Costs `num_chains * num_temperatures` HMC trajectories of ten leapfrog steps per example; so does each validation
    example, for a generator.

    Args:
        num_chains: number of chains of each example.
        num_temperatures: number of inverse temperatures from 0 to 1, both ends included.
        spacing: `auto`, which is `geometric` for a generator and `sigmoid` for other models; one of these; `linear`,
            `quadratic`, `cubic`, `published`; or `adaptive`, by a pilot run for each block.
        scales: of a generator, the smallest and the largest scale s to try, in the units that the model sees; if they
            are equal, none is tried.
        num_valid: of a generator, number of validation examples, which are not scored, that select s.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[Any] = Annealable | Smoothed
    num_chains: int = 16
    num_temperatures: int = 1000
    spacing: str = AUTO
    scales: Sequence[float] = (0.05, 1.0)
    num_valid: int = 100

    def __post_init__(self) -> None:
        check_settings("likelihood.ais", self, 1, (AUTO, *WORDS))
        check_scales("likelihood.ais", self)

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    def adapted(self, model: Any, valid: Batch) -> Any:
        """Returns the model, or a generator with noise of the scale that is best on validation examples."""
        return as_decoder(model, valid, self)

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""
        decoder = self.adapted(model, evidence.valid)
        settings = spaced_for(decoder, self)

        def of_block(block: Batch) -> Tensor:
            path, betas = tuned_path(decoder.posterior_path(block.x, block.context), settings)
            return forwards(path, self.num_chains, betas)

        bounds = torch.cat(of_blocks(of_block, evidence.batch, together(self.num_chains)))
        return bounds, told(lower_bound(bounds, asdict(settings)), decoder, self, "likelihood.ais")


def spaced_for(model: Any, settings: Any) -> Any:
    """Settings with the spacing that `auto` is for a model."""
    default = "geometric" if isinstance(model, Noisy) else sigmoid.__name__
    return replace(settings, spacing=default) if settings.spacing == AUTO else settings


def forwards(path: AnnealingPath, num_chains: int, betas: Tensor) -> Float64[Tensor, "batch"]:
    """Log of the mean weight of each example's chains, started at samples of the prior."""
    return iwae(anneal(path, path.start(num_chains), betas)[1])


def tuned_path(path: Any, settings: Any) -> tuple[AnnealingPath, Float64[Tensor, "temperatures"]]:
    """Returns the path with step sizes tuned in a preliminary run, and its temperatures.

    `adaptive` temperatures are measured on the path tuned along those of `sigmoid`.
    """
    num, spacing = settings.num_temperatures, settings.spacing
    ready = tuned(path, SPACINGS.get(spacing, sigmoid)(num))
    return ready, spaced(spacing, num, ready, settings.num_chains)
