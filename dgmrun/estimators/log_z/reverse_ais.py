r"""Reverse annealed importance sampling, from the model to the base.

.. math:: \log w = \sum_k \log f_{\beta_k}(x_k) - \log f_{\beta_{k+1}}(x_k), \qquad E[w] = Z_0 / Z_1

where chains start at samples of the model. The mean of w is unbiased for the inverse ratio, so
:math:`\log Z_0 - \log \frac{1}{N} \sum_n w_n` is an upper bound on log Z in expectation. If chains start at approximate
samples, the direction of the bias is unknown.

References:
    Burda, Grosse and Salakhutdinov (2015), Accurate and conservative estimates of MRF log-likelihood using reverse
    annealing, https://arxiv.org/abs/1412.8566.
    Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo,
    https://arxiv.org/abs/1511.02543.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from torch import Tensor

from dgmrun.estimators.annealing import CURE, anneal
from dgmrun.estimators.log_mean import INTERVAL, LogMean, curve, log_mean
from dgmrun.estimators.sampling import can_be_exact, samples
from dgmrun.estimators.spacing import check_settings, spaced
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import UnnormalisedDensity
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class ReverseAIS(LogZMethod):
    """Upper bound on log Z in expectation, in nats; together with `AIS`, which is biased low, it sandwiches log Z.

    Costs `num_chains * num_temperatures` transitions, after those of the burn-in.

    Args:
        num_chains: number of chains, at least 2.
        num_temperatures: number of inverse temperatures from 1 to 0, both ends included, at least 2.
        spacing: as in `AIS`.
        burn_in: transitions before annealing, if exact samples of the model are unavailable.

    Raises:
        ValueError: fewer than 2 chains or temperatures, an unknown spacing, or a negative burn-in.
    """

    requires: ClassVar[type] = UnnormalisedDensity
    num_chains: int = 100
    num_temperatures: int = 1000
    spacing: str = "quadratic"
    burn_in: int = 1000

    def __post_init__(self) -> None:
        check_settings("log_z.reverse_ais", self)
        if self.burn_in < 0:
            raise ValueError(f"`log_z.reverse_ais.burn_in` must not be negative, but is {self.burn_in}")

    def __call__(self, model: UnnormalisedDensity, x: Tensor, proposal: object = None) -> Estimate:
        """Returns log Z of `model`, annealed to the base distribution that it fits to `x`."""
        path = model.annealed(x)
        start = samples(model, self.num_chains, x, self.burn_in).flatten(1)
        betas = spaced(self.spacing, self.num_temperatures, path, self.num_chains)
        _, log_w = anneal(path, start, betas.flip(0))
        log_w -= path.log_normaliser()
        inverse = log_mean(log_w)
        mean = inverse.reciprocal()
        is_exact = can_be_exact(model)
        doubt = f"its chains start after {self.burn_in} transitions, not at exact samples: it is no bound"
        return Estimate(
            "log_z",
            value=mean.value,
            standard_error=mean.standard_error,
            interval=mean.interval,
            kind="upper_bound" if is_exact else "estimate",
            bias="up" if is_exact else "unknown",
            samples=self.num_chains,
            effective_sample_size=mean.effective_sample_size,
            settings=asdict(self) | {"interval": INTERVAL},
            diagnostics={"pessimistic_sample_size": mean.pessimistic_sample_size},
            warnings=mean.warnings(CURE.format("reverse_ais")) + [doubt] * (not is_exact),
            curve=curve(log_w, LogMean.reciprocal),
        )
