r"""Samples of a tractable density q and of an unnormalised one, p = f / Z, with both densities at each sample.

Half of p's chains start at samples of q, as published, and half at the final states of annealing from the base
distribution. Regions of p that q misses may be invisible in the first half, whatever its weights look like; the second
half, which is independent of q, can reveal them.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float64
from scipy.special import chdtri, gammaincinv, stdtrit
from torch import Tensor

from dgmrun.estimators.annealing import anneal
from dgmrun.estimators.density import log_density
from dgmrun.estimators.log_mean import CONFIDENCE
from dgmrun.estimators.spacing import quadratic
from dgmrun.protocols.methods import LogZMethod
from dgmrun.protocols.models import UnnormalisedDensity
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import ONE_SIDED, Batch
from dgmrun.rng import seeded

CLOSER = "train the student longer, or give it more hidden units"
R_HAT = 1.01
ROUNDING = 1e-3
"""Differences in nats that single precision can cause."""
ANNEALED = 1000
"""Number of temperatures of the annealing that initialises the second half of the chains."""


class Densities(NamedTuple):
    """Both log-densities at the same samples; equal shapes, float64."""

    log_f: Tensor
    log_q: Tensor

    @property
    def log_w(self) -> Tensor:
        """log f - log q."""
        return self.log_f - self.log_q


class Samples(NamedTuple):
    """Samples for methods that use a proposal.

    Args:
        of_q: densities at independent samples of q, [samples].
        of_p: densities at states of chains that leave p invariant, [halves = 2, chains, states]; the first half started
            at samples of q.
    """

    of_q: Densities
    of_p: Densities


@dataclass(frozen=True)
class ThroughProposal(LogZMethod):
    """Settings of methods that use a proposal.

    Args:
        num_samples: number of samples of the proposal, and of states of the model's chains; a multiple of `num_chains`.
        num_chains: number of chains, even. Error bars treat chains, not their states, as independent.
        burn_in: transitions before the first recorded state of a chain.
        thin: transitions between recorded states of a chain.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = UnnormalisedDensity
    needs_proposal: ClassVar[bool] = True
    name: ClassVar[str]
    num_samples: int = 10_000
    num_chains: int = 1000
    burn_in: int = 2000
    thin: int = 100

    def __post_init__(self) -> None:
        for key, least in (("num_samples", 20), ("num_chains", 4), ("burn_in", 0), ("thin", 1)):
            if (value := getattr(self, key)) < least:
                raise ValueError(f"`log_z.{self.name}.{key}` must be at least {least}, but is {value}")
        if self.num_chains % 2:
            raise ValueError(f"`log_z.{self.name}.num_chains` must be even, but is {self.num_chains}")
        if self.num_samples % self.num_chains:
            raise ValueError(
                f"`log_z.{self.name}.num_samples` must be a multiple of the {self.num_chains} chains, "
                f"but is {self.num_samples}"
            )


class Proposal:
    """A tractable density close to a model, with samples of both, which are cached by settings.

    Args:
        q: the tractable density.
        model: the model.
        x: training data, to which the model fits the base distribution of annealing.
        seed: seed of the samples.
    """

    def __init__(self, q: Any, model: Any, x: Tensor, seed: int) -> None:
        self.q, self.model, self.x, self.seed = q, model, x, seed
        self.drawn: dict[tuple[int, ...], Samples] = {}

    def samples(self, settings: ThroughProposal) -> Samples:
        """Returns samples of both densities, drawn with the settings of a method."""
        key = (settings.num_samples, settings.num_chains, settings.burn_in, settings.thin)
        if key not in self.drawn:
            with seeded(self.seed, "log_z", "proposal", *key):
                self.drawn[key] = draw(self.model, self.q, self.x, settings)
        return self.drawn[key]


@torch.no_grad()
def draw(model: Any, q: Any, x: Tensor, settings: ThroughProposal) -> Samples:
    """Draws samples of `q` and states of chains of `model`, and computes both densities at each."""
    half = settings.num_chains // 2
    path = model.annealed(x)
    ends, _ = anneal(path, path.start(half), quadratic(ANNEALED))
    starts = torch.cat([q.sample(half).flatten(1), ends.flatten(1)])
    state = model.walk(starts.reshape(-1, *model.event.shape), settings.burn_in)
    states = [state]
    for _ in tracked(range(settings.num_samples // settings.num_chains - 1)):
        states.append(state := model.walk(state, settings.thin))
    at = torch.stack(states, 1).flatten(0, 1)
    of_p = _densities(model, q, at)
    return Samples(
        of_q=_densities(model, q, q.sample(settings.num_samples)),
        of_p=Densities(*(log_d.reshape(2, half, len(states)) for log_d in of_p)),
    )


def _densities(model: Any, q: Any, x: Tensor) -> Densities:
    batch = Batch(x, torch.arange(len(x)))
    return Densities(log_density(model, batch), log_density(q, batch))


class Mean(NamedTuple):
    """A mean, or the log of one, in nats, with its standard error and the number of independent values averaged."""

    value: float
    standard_error: float
    size: int

    @property
    def half(self) -> float:
        """Half-width of the 99.7 % interval, by Student's t distribution."""
        return float(stdtrit(self.size - 1, (1 + CONFIDENCE) / 2)) * self.standard_error

    def interval(self) -> tuple[float, float]:
        """The 99.7 % interval."""
        return self.value - self.half, self.value + self.half

    def agrees(self, other: Mean) -> bool:
        """Returns whether two independent means differ by no more than their intervals or rounding errors allow."""
        return abs(self.value - other.value) <= max(math.hypot(self.half, other.half), ROUNDING)


def log_mean_of_chains(log_w: Float64[Tensor, "chains states"]) -> Mean:
    """Log of the mean weight over all states, with its standard error from the means of independent chains."""
    of_chain = torch.logsumexp(log_w, 1) - math.log(log_w.shape[1])
    value = torch.logsumexp(of_chain, 0) - math.log(len(of_chain))
    return _mean(float(value), (of_chain - value).exp())


def mean_of_chains(value: Float64[Tensor, "chains states"]) -> Mean:
    """Mean over all states, with its standard error from the means of independent chains."""
    of_chain = value.mean(1)
    return _mean(float(of_chain.mean()), of_chain)


def _mean(value: float, of_chain: Float64[Tensor, "chains"]) -> Mean:
    return Mean(value, float(of_chain.std()) / math.sqrt(len(of_chain)), len(of_chain))


def effective_size(value: Float64[Tensor, "chains states"]) -> float:
    """Effective sample size for the mean of `value`, between the number of chains and the number of states."""
    of_chain = value.mean(1).var().clamp(min=1e-300) / len(value)
    return float((value.var() / of_chain).clamp(len(value), value.numel()))


def size_of_p(samples: Samples) -> float:
    """Effective number of states of the chains that start elsewhere than q, as far as energy and weights tell.

    Chains that start at samples of q cannot show what q misses.
    """
    return min(effective_size(value[1]) for value in (samples.of_p.log_f, samples.of_p.log_w))


def with_unseen(ends: tuple[float, float], of_q: int, of_p: float, missed: float = 0.0) -> tuple[float, float]:
    r"""Widens an interval of log Z by what the samples of either density may not have shown.

    A part of q with the probability :math:`\epsilon` that p lacks makes log Z too high by
    :math:`-\log(1 - \epsilon)` if q was never drawn there, and a part of p that q lacks makes it too low. None of n
    samples shows a part in more than 0.135 % of cases if :math:`-\log(1 - \epsilon) \le 6.6 / n`.

    Args:
        ends: the interval.
        of_q: number of samples of q.
        of_p: effective number of states of p.
        missed: how many of the latter are where q was not drawn, if the estimate rests on samples of q alone. Their
            share is at most the 0.99865 quantile of a gamma distribution of shape `missed` + 1, divided by `of_p`.
    """
    below, above = gammaincinv(1.0, ONE_SIDED) / of_q, gammaincinv(missed + 1.0, ONE_SIDED) / of_p
    return ends[0] - float(below), ends[1] + float(above)


def r_hat(value: Float64[Tensor, "halves chains states"]) -> float:
    """Gelman and Rubin's (1992) potential scale reduction factor between the halves; near 1 if they agree."""
    halves = value.flatten(1)
    num = halves.shape[1]
    within, between = halves.var(1).mean().clamp(min=1e-300), halves.mean(1).var()
    return float(((num - 1) / num + between / within).sqrt())


def diagnose(samples: Samples, log_z: float, standard_error: float | None) -> dict[str, float | None]:
    """R-hat between the halves, and both KL divergences in nats; KL(p || q) uses the half that did not start at q.

    The standard errors of the divergences are conservative: they combine those of log Z and of the mean as if they were
    independent, although errors from common samples partly cancel.
    """
    at_p, at_q = mean_of_chains(samples.of_p.log_w[1]), mean_of_chains(samples.of_q.log_w[:, None])

    def error(mean: Mean) -> float | None:
        return None if standard_error is None else math.hypot(mean.standard_error, standard_error)

    return {
        "r_hat": r_hat(samples.of_p.log_f),
        "kl_p_q": at_p.value - log_z,
        "kl_p_q_standard_error": error(at_p),
        "kl_q_p": log_z - at_q.value,
        "kl_q_p_standard_error": error(at_q),
    }


def mixing_doubts(samples: Samples) -> list[str]:
    """Warns if the two halves of the chains have not converged to the same distribution.

    R-hat of n independent states exceeds 1 by about chi^2 / 2n, with one degree of freedom, by chance; the threshold
    allows for this.
    """
    found = r_hat(samples.of_p.log_f)
    size = min(effective_size(half) for half in samples.of_p.log_f)
    if found <= max(R_HAT, 1 + float(chdtri(1, 1 - CONFIDENCE)) / (2 * size)):
        return []
    return [f"R-hat of the free energy between the halves of the chains is {found:.3f}, above {R_HAT}: raise `burn_in`"]
