r"""Bridge sampling with the optimal bridge function, between a tractable density q and the model p = f / Z.

.. math:: r = \frac{E_q[l / (s_p l + s_q r)]}{E_p[1 / (s_p l + s_q r)]}, \qquad l = f / q

holds for r = Z, where s_q and s_p are the shares of effective samples from each density. The samples are split into two
folds: each has half of the samples of q; the first has the chains that started at q, the second the other chains. Each
fold gives an estimate with the r fitted on the other fold, so that no sample is used for both.

References:
    Meng and Wong (1996), Simulating ratios of normalizing constants via a simple identity, equations 4.1 and 4.2.
    Fruehwirth-Schnatter (2004), Estimating marginal likelihoods for mixture and Markov switching models.
    Papamakarios and Murray (2015), Distilling intractable generative models, section 3.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from dgmrun.estimators.log_mean import LEAST_SHARE, counts
from dgmrun.estimators.proposal import (
    CLOSER,
    Mean,
    Samples,
    ThroughProposal,
    diagnose,
    effective_size,
    log_mean_of_chains,
    mixing_doubts,
    size_of_p,
    with_unseen,
)
from dgmrun.protocols.values import Estimate

INTERVAL = "value +- t(0.9985, chains of a half - 1) standard errors, and 6.6 / samples for what none has shown"
DOUBTFUL_OVERLAP = 0.5
"""Effective share of samples below which there is a warning; a student that has learned its teacher exceeds it."""
FAR = 50.0
"""Distance in nats from the extreme log-ratios to the initial bracket of the bisection."""
HALVINGS = 80
"""Number of bisection steps, enough for full precision of log r."""


@dataclass(frozen=True)
class Bridge(ThroughProposal):
    """log Z in nats by optimal bridge sampling: a smaller error than importance sampling, with no known direction."""

    name: ClassVar[str] = "bridge"

    def __call__(self, model: Any, x: Tensor, proposal: Any = None) -> Estimate:
        """Returns log Z of `model` by bridge sampling with `proposal`."""
        samples: Samples = proposal.samples(self)
        one, other = halves(samples)
        mean, overlap = together(one, other), min(fold.overlap(fold.fit()) for fold in folds(samples))
        error = mean.standard_error if overlap >= LEAST_SHARE else None
        size = size_of_p(samples)
        doubts = [*_disagreement(one, other), *mixing_doubts(samples)]
        return Estimate(
            "log_z",
            value=mean.value,
            standard_error=error,
            interval=None if doubts or error is None else with_unseen(mean.interval(), self.num_samples, size),
            kind="estimate",
            bias="unknown",
            samples=self.num_samples,
            effective_sample_size=sum(effective_size(half) for half in samples.of_p.log_w),
            settings=asdict(self) | {"interval": INTERVAL},
            diagnostics={
                "overlap": overlap,
                "from_q": one.value,
                "from_q_standard_error": one.standard_error,
                "from_elsewhere": other.value,
                "from_elsewhere_standard_error": other.standard_error,
                **diagnose(samples, mean.value, error),
            },
            warnings=doubts + _distance(overlap),
            curve=_curve(samples, size),
        )


class Fold(NamedTuple):
    """Log-ratios log f - log q at samples of q, and at states of chains that leave p invariant."""

    at_q: Float64[Tensor, "samples"]
    at_p: Float64[Tensor, "chains states"]

    def bridge(self, log_r: float) -> Mean:
        """Log of the right-hand side of the equation at a given r, with its standard error."""
        above, below = (log_mean_of_chains(log_w) for log_w in self.weights(log_r))
        error = math.hypot(above.standard_error, below.standard_error)
        return Mean(above.value - below.value, error, min(above.size, below.size))

    def weights(self, log_r: float) -> tuple[Tensor, Tensor]:
        """Logs of the averaged terms: l / (s_p l + s_q r) at q [samples, 1], and 1 / (s_p l + s_q r) at p."""
        log_share_q, log_share_p = self.log_shares()

        def log_mixture(log_l: Tensor) -> Tensor:
            return torch.logaddexp(log_l + log_share_p, log_l.new_tensor(log_r + log_share_q))

        return (self.at_q - log_mixture(self.at_q))[:, None], -log_mixture(self.at_p)

    def overlap(self, log_r: float) -> float:
        """Effective share of samples, (sum w)^2 / sum w^2 over their number, the smaller of that at q and that at p."""
        shares = [2 * log_w.logsumexp((0, 1)) - (2 * log_w).logsumexp((0, 1)) for log_w in self.weights(log_r)]
        return min(
            math.exp(share) / size for share, size in zip(shares, (len(self.at_q), self.at_p.numel()), strict=True)
        )

    def fit(self) -> float:
        r"""Solves the equation for log r by bisection.

        It is equivalent to :math:`s_q E_q[\sigma(u)] = s_p E_p[\sigma(-u)]` with
        :math:`u = \log l + \log(s_p / s_q) - \log r`; the difference of both sides decreases with r.
        """
        log_share_q, log_share_p = self.log_shares()
        (low, high), odds = self.ends(), log_share_p - log_share_q
        for _ in range(HALVINGS):
            log_r = (low + high) / 2
            of_q, of_p = torch.sigmoid(self.at_q + odds - log_r).mean(), torch.sigmoid(log_r - odds - self.at_p).mean()
            is_low = math.exp(log_share_q) * of_q > math.exp(log_share_p) * of_p
            low, high = (log_r, high) if is_low else (low, log_r)
        return (low + high) / 2

    def log_shares(self) -> tuple[float, float]:
        """Returns log s_q and log s_p."""
        of_q, of_p = len(self.at_q), effective_size(self.at_p)
        return math.log(of_q / (of_q + of_p)), math.log(of_p / (of_q + of_p))

    def ends(self) -> tuple[float, float]:
        """Returns a bracket for log r, from below the smallest to above the largest log-ratio."""
        both = torch.cat([self.at_q, self.at_p.flatten()])
        return float(both.min()) - FAR, float(both.max()) + FAR


def folds(samples: Samples) -> tuple[Fold, Fold]:
    """Pairs the chains that started at q with one half of the samples of q, and the others with the other half."""
    one, other = (Fold(*fold) for fold in zip(samples.of_q.log_w.chunk(2), samples.of_p.log_w, strict=True))
    return one, other


def halves(samples: Samples) -> tuple[Mean, Mean]:
    """Returns log Z by each fold, first by that whose chains started at q."""
    one, other = folds(samples)
    return one.bridge(other.fit()), other.bridge(one.fit())


def together(one: Mean, other: Mean) -> Mean:
    """Averages two independent estimates; if they disagree, the standard error is at least half their difference."""
    error = math.hypot(one.standard_error, other.standard_error) / 2
    apart = 0.0 if one.agrees(other) else abs(one.value - other.value) / 2
    return Mean((one.value + other.value) / 2, max(error, apart), min(one.size, other.size))


def _disagreement(one: Mean, other: Mean) -> list[str]:
    if one.agrees(other):
        return []
    return [
        f"chains started at samples of the proposal give {one.value:.3f} +- {one.standard_error:.3f}, those started at "
        f"ends of an annealing {other.value:.3f} +- {other.standard_error:.3f}: the proposal misses a part of the "
        "model, or the chains do"
    ]


def _distance(overlap: float) -> list[str]:
    if overlap >= DOUBTFUL_OVERLAP:
        return []
    claim = "" if overlap >= LEAST_SHARE else ", too few for an error bar"
    return [f"only {overlap:.2%} of the samples of one side count{claim}: {CLOSER}"]


def _curve(samples: Samples, size: float) -> list[tuple[int, float, float | None, float | None]]:
    """Estimates from the first samples of q and a proportional number of chains of p."""
    half, chains = len(samples.of_q.log_w) // 2, samples.of_p.log_w.shape[1]
    rows: list[tuple[int, float, float | None, float | None]] = []
    for num in counts(2 * half, least=2 * -(-half // chains) * 5):
        share = num / (2 * half)
        q = torch.cat([part[: num // 2] for part in samples.of_q.log_w.chunk(2)])
        p = samples.of_p.log_w[:, : max(2, round(share * chains))]
        of_q = samples.of_q._replace(log_f=q, log_q=torch.zeros_like(q))
        of_p = samples.of_p._replace(log_f=p, log_q=torch.zeros_like(p))
        mean = together(*halves(Samples(of_q, of_p)))
        rows.append((num, mean.value, *with_unseen(mean.interval(), num, share * size)))
    return rows
