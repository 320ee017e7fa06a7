r"""Annealed importance sampling: weights whose mean is the ratio of two partition functions.

.. math:: \log w = \sum_k \log f_{\beta_{k+1}}(x_k) - \log f_{\beta_k}(x_k), \qquad E[w] = Z_1 / Z_0

where :math:`x_0` is from the base and :math:`x_k` from a transition that leaves :math:`f_{\beta_k}` invariant.

References:
    Neal (2001), Annealed importance sampling, https://arxiv.org/abs/physics/9803008, equations 3 to 11.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 4.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from torch import Tensor

from dgmrun.estimators.annealing import CURE, anneal
from dgmrun.estimators.log_mean import INTERVAL, MARKOV, curve, log_mean
from dgmrun.estimators.spacing import check_settings, spaced
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import UnnormalisedDensity
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class AIS(LogZMethod):
    """log Z in nats by annealing from the base to the model: unbiased for Z, so biased low for log Z.

    Costs `num_chains * num_temperatures` transitions. More temperatures help more than more chains.

    Args:
        num_chains: number of chains, at least 2.
        num_temperatures: number of inverse temperatures from 0 to 1, both ends included, at least 2.
        spacing: `linear`, `quadratic`, `cubic`, `published`, `sigmoid`, `geometric`, or `adaptive`, by a pilot run of a
            16th of the cost, or more with fewer than 40 chains or 160 temperatures. On trained models, linear spacing
            can miss modes unseen by the weights; see RESULTS.md.

    Raises:
        ValueError: fewer than 2 chains or temperatures, or an unknown spacing.
    """

    requires: ClassVar[type] = UnnormalisedDensity
    num_chains: int = 100
    num_temperatures: int = 1000
    spacing: str = "quadratic"

    def __post_init__(self) -> None:
        check_settings("log_z.ais", self)

    def quick(self, model: UnnormalisedDensity) -> AIS:
        """Returns a version with 100 chains and 500 temperatures."""
        return replace(self, num_chains=100, num_temperatures=500)

    def __call__(self, model: UnnormalisedDensity, x: Tensor, proposal: object = None) -> Estimate:
        """Returns log Z of `model`, annealed from the base distribution that it fits to `x`."""
        path = model.annealed(x)
        betas = spaced(self.spacing, self.num_temperatures, path, self.num_chains)
        _, log_w = anneal(path, path.start(self.num_chains), betas)
        log_w += path.log_normaliser()
        mean = log_mean(log_w)
        return Estimate(
            "log_z",
            value=mean.value,
            standard_error=mean.standard_error,
            interval=mean.interval,
            kind="estimate",
            bias="down",
            samples=self.num_chains,
            effective_sample_size=mean.effective_sample_size,
            settings=asdict(self) | {"interval": INTERVAL},
            diagnostics={
                "certain_low": mean.value - MARKOV,
                "pessimistic_sample_size": mean.pessimistic_sample_size,
            },
            warnings=mean.warnings(CURE.format("ais")),
            curve=curve(log_w),
        )
