"""Upper bounds on log p(x) of examples sampled from a latent variable model, by annealing from p(z|x) to p(z)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.annealing import anneal, together
from dgmrun.estimators.likelihood.ais import AUTO, forwards, spaced_for, tuned_path
from dgmrun.estimators.scale import as_decoder, check_scales, told
from dgmrun.estimators.spacing import WORDS, check_settings
from dgmrun.latent.bounds import iwae
from dgmrun.protocols.methods import LikelihoodMethod
from dgmrun.protocols.models import Annealable, AnnealingPath
from dgmrun.protocols.smoothed import Smoothed
from dgmrun.protocols.values import Batch, Estimate, Evidence, half_width


@dataclass(frozen=True)
class LatentReverseAIS(LikelihoodMethod):
    """Upper bound on log p(x) of examples sampled from the model, and its gap to the lower bound by forward chains.

    On such examples, the gap bounds how far `ais` with the same settings is below log p(x). On real data, where it may
    be wider, it guarantees nothing. Costs twice as much per example as `LatentAIS`.

    Examples of a generator, such as that of a GAN, are its samples with noise of the scale that `LatentAIS` selects.

    Args:
        num_examples: number of examples to sample from the model.
        num_chains: number of chains of each example.
        num_temperatures: number of inverse temperatures from 1 to 0, both ends included.
        spacing: as in `LatentAIS`.
        scales: as in `LatentAIS`.
        num_valid: as in `LatentAIS`.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[Any] = Annealable | Smoothed
    num_examples: int = 100
    num_chains: int = 16
    num_temperatures: int = 1000
    spacing: str = AUTO
    scales: Sequence[float] = (0.05, 1.0)
    num_valid: int = 100

    def __post_init__(self) -> None:
        check_settings("likelihood.reverse_ais", self, 1, (AUTO, *WORDS))
        check_scales("likelihood.reverse_ais", self)
        if self.num_examples < 2:
            raise ValueError(f"`likelihood.reverse_ais.num_examples` must be at least 2, but is {self.num_examples}")

    @property
    def simulates(self) -> int:
        """Number of examples to sample from the model."""
        return self.num_examples

    def is_automatic(self, model: object) -> bool:
        """Returns False: the method runs only on request."""
        return False

    def adapted(self, model: Any, valid: Batch) -> Any:
        """Returns the model, or a generator with noise of the scale that is best on validation examples."""
        return as_decoder(model, valid, self)

    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns the upper bound of each example sampled from the adapted model, and their mean."""
        settings, above, below, most = spaced_for(model, self), [], [], together(self.num_chains)
        assert evidence.latents is not None
        for made, z in zip(evidence.batch.blocks(most), evidence.latents.split(most), strict=True):
            path, betas = tuned_path(model.posterior_path(made.x, made.context), settings)
            below.append(forwards(path, self.num_chains, betas))
            above.append(backwards(path, z.repeat(self.num_chains, 1, 1), betas))
        upper, lower = torch.cat(above), torch.cat(below)
        return upper, told(upper_bound(upper, upper - lower, asdict(settings)), model, self, "likelihood.reverse_ais")


def backwards(path: AnnealingPath, z: Tensor, betas: Tensor) -> Float64[Tensor, "batch"]:
    """Minus the log of the mean weight of each example's chains, started at samples of the posterior."""
    return -iwae(anneal(path, z, betas.flip(0))[1])


def upper_bound(upper: Tensor, gap: Tensor, settings: dict[str, Any]) -> Estimate:
    """Makes an estimate from the upper bounds of examples and their gaps to the lower bounds."""
    value, error, error_gap = float(upper.mean()), *(float(each.std()) / len(each) ** 0.5 for each in (upper, gap))
    return Estimate(
        "log_likelihood",
        value=value,
        standard_error=error,
        interval=(None, value + half_width(error, len(upper))),
        kind="upper_bound",
        bias="up",
        samples=settings["num_chains"],
        settings=settings,
        diagnostics={"gap": float(gap.mean()), "standard_error_gap": error_gap},
        warnings=["it is of data that the model made itself: of other data it bounds nothing"],
    )
