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

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.marginal import lower_bound
from dgmrun.estimators.shares import of_blocks
from dgmrun.estimators.smoothing import log_p_at, scales_to
from dgmrun.estimators.spacing import SPACINGS, check_range, check_settings, sigmoid, spaced
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Annealable, AnnealingPath, Smoothed
from dgmrun.protocols.values import Batch, Estimate, Evidence

CHAINS = 2000
"""Number of chains that move together."""


PILOT, TEMPERATURES, PILOT_CHAINS = 10, 100, 4
"""Step sizes are tuned at one in PILOT temperatures, but at no fewer than TEMPERATURES, by PILOT_CHAINS chains."""
SMOOTHED = "of samples with Gaussian noise of this scale added: those of the generator alone have no density"


@dataclass(frozen=True)
class LatentAIS(LikelihoodMethod):
    """Lower bound on log p(x) by annealing from p(z) to p(z|x).

    Costs `num_chains * num_temperatures` HMC trajectories of ten leapfrog steps per example; so does each validation
    example, for a generator.

    Args:
        num_chains: number of chains of each example.
        num_temperatures: number of inverse temperatures from 0 to 1, both ends included.
        spacing: `sigmoid`, `linear`, `quadratic`, `cubic`, `published` or `adaptive`, by a pilot run for each block.
        scales: of a generator, the smallest and the largest scale s to try, in the units that the model sees; if they
            are equal, none is tried.
        num_valid: of a generator, number of validation examples that select s.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[Any] = Annealable | Smoothed
    num_chains: int = 16
    num_temperatures: int = 1000
    spacing: str = "sigmoid"
    scales: Sequence[float] = (0.05, 1.0)
    num_valid: int = 100

    def __post_init__(self) -> None:
        check_settings("likelihood.ais", self, least_chains=1)
        check_range("likelihood.ais.scales", self.scales)
        if self.num_valid < 1:
            raise ValueError(f"`likelihood.ais.num_valid` must be at least 1, but is {self.num_valid}")

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the bound of each example, and their mean."""
        if isinstance(model, Annealable):
            bounds = self._bounds(lambda block: model.posterior_path(block.x, block.context), evidence.batch)
            return bounds, lower_bound(bounds, asdict(self))
        scale, warnings = self._scale(model, evidence.valid.rows(slice(self.num_valid)))
        bounds = self._bounds(lambda block: model.smoothed_path(block.x, scale, block.context), evidence.batch)
        estimate = lower_bound(bounds, asdict(self), {"scale": scale})
        return bounds, replace(estimate, warnings=[*estimate.warnings, *warnings])

    def _bounds(self, path_of: Callable[[Batch], Any], batch: Batch) -> Float64[Tensor, "examples"]:
        def of_block(block: Batch) -> Tensor:
            path, betas = tuned_path(path_of(block), self)
            return forwards(path, self.num_chains, betas)

        return torch.cat(of_blocks(of_block, batch, max(1, CHAINS // self.num_chains)))

    def _scale(self, model: Any, valid: Batch) -> tuple[float, list[str]]:
        """Selects the scale of a generator on validation data; also returns what there is to say of it."""
        low, high = self.scales
        tried = scales_to(self.scales, self.num_temperatures)

        def of_block(block: Batch) -> Tensor:
            betas = (low / tried) ** 2
            path = model.smoothed_path(block.x, low, block.context).tuned(betas[pilot(len(betas))], PILOT_CHAINS)
            return log_p_at(path, self.num_chains, tried, block.x[0].numel())

        warnings = [SMOOTHED]
        if low == high:
            return low, warnings
        log_p = torch.cat(of_blocks(of_block, valid, max(1, CHAINS // self.num_chains)), 1).mean(1)
        first = int((tried <= high).long().argmax())
        best = first + int(log_p[first:].argmax())
        if best in (first, len(tried) - 1):
            warnings.append("the best scale is the last that was tried: widen `likelihood.ais.scales`")
        return float(tried[best]), warnings


def forwards(path: AnnealingPath, num_chains: int, betas: Tensor) -> Float64[Tensor, "batch"]:
    """Log of the mean weight of each example's chains, started at samples of the prior."""
    return iwae(anneal(path, path.start(num_chains), betas)[1])


def tuned_path(path: Any, settings: Any) -> tuple[AnnealingPath, Float64[Tensor, "temperatures"]]:
    """Returns the path with step sizes tuned in a preliminary run, and its temperatures.

    `adaptive` temperatures are measured on the path tuned along those of `sigmoid`.
    """
    num, spacing = settings.num_temperatures, settings.spacing
    tuned: AnnealingPath = path.tuned(SPACINGS.get(spacing, sigmoid)(num)[pilot(num)], PILOT_CHAINS)
    return tuned, spaced(spacing, num, tuned, settings.num_chains)


def pilot(num: int) -> Int64[Tensor, "pilots"]:
    """Places, among `num` temperatures, of those at which step sizes are tuned."""
    return torch.linspace(0, num - 1, max(TEMPERATURES, num // PILOT)).long()
