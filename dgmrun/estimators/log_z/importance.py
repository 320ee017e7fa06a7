r"""Importance sampling: the mean weight of samples of a tractable density q close to the model p = f / Z.

.. math:: w = f(x) / q(x), \quad x \sim q, \qquad E_q[w] = Z, \qquad E_p[1 / w] = 1 / Z

The second mean, over samples of the model, serves as a check: if q misses a region of p, the first estimate of Z is
low, however good its weights look, but the second is not, provided that its chains have visited that region.

References:
    Papamakarios and Murray (2015), Distilling intractable generative models, section 3.
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from dgmrun.estimators.log_mean import INTERVAL, MARKOV, LogMean, curve, log_mean
from dgmrun.estimators.pareto import pareto_k, threshold
from dgmrun.estimators.proposal import (
    CLOSER,
    ROUNDING,
    Mean,
    Samples,
    ThroughProposal,
    diagnose,
    log_mean_of_chains,
    mixing_doubts,
    size_of_p,
    with_unseen,
)
from dgmrun.protocols.values import Estimate


@dataclass(frozen=True)
class Importance(ThroughProposal):
    """log Z in nats by importance sampling from a proposal: unbiased for Z, so biased low for log Z.

    A small effective sample size widens the interval and causes a warning, as in `AIS`. No interval is given if the
    weights are heavy-tailed, the reverse weights disagree, or the chains have not mixed.
    """

    name: ClassVar[str] = "importance"

    def __call__(self, model: Any, x: Tensor, proposal: Any = None) -> Estimate:
        """Returns log Z of `model` by importance sampling from `proposal`."""
        samples: Samples = proposal.samples(self)
        log_w = samples.of_q.log_w
        widened = partial(_with_unseen, samples=samples)
        mean, k = widened(log_mean(log_w)), pareto_k(log_w)
        reverse = [_inverse(log_mean_of_chains(-half)) for half in samples.of_p.log_w]
        diagnostics = diagnose(samples, mean.value, mean.standard_error)
        doubts = [
            *_disagreements(mean, reverse),
            *_tail(k, self.num_samples),
            *mixing_doubts(samples),
        ]
        return Estimate(
            "log_z",
            value=mean.value,
            standard_error=mean.standard_error,
            interval=None if doubts else mean.interval,
            kind="estimate",
            bias="down",
            samples=self.num_samples,
            effective_sample_size=mean.effective_sample_size,
            settings=asdict(self) | {"interval": f"{INTERVAL}, and 6.6 / samples for what none has shown"},
            diagnostics={
                "certain_low": mean.value - MARKOV,
                "pessimistic_sample_size": mean.pessimistic_sample_size,
                "pareto_k": k,
                "reverse_from_q": reverse[0].value,
                "reverse_from_q_standard_error": reverse[0].standard_error,
                "reverse_from_elsewhere": reverse[1].value,
                "reverse_from_elsewhere_standard_error": reverse[1].standard_error,
                **diagnostics,
            },
            warnings=mean.warnings(CLOSER) + doubts,
            curve=curve(log_w, widened),
        )


def _with_unseen(mean: LogMean, samples: Samples) -> LogMean:
    """Widens the interval; states of p whose weights exceed all of q's are where q was not drawn."""
    if mean.interval is None:
        return mean
    largest, size = samples.of_q.log_w[: mean.samples].max() + ROUNDING, size_of_p(samples)
    count = float((samples.of_p.log_w > largest).double().mean()) * size
    return mean._replace(interval=with_unseen(mean.interval, mean.samples, size, count))


def _inverse(mean: Mean) -> Mean:
    return mean._replace(value=-mean.value)


def _disagreements(mean: LogMean, reverse: list[Mean]) -> list[str]:
    """Warns of each half of the chains that gives another log Z."""
    forward = Mean(mean.value, mean.standard_error or 0.0, mean.samples)
    starts = ("samples of the proposal", "ends of an annealing")
    return [
        f"the reverse weights of chains started at {start} give {half.value:.3f} +- {half.standard_error:.3f}: the "
        "proposal misses a part of the model, or the chains do"
        for start, half in zip(starts, reverse, strict=True)
        if mean.standard_error is not None and not forward.agrees(half)
    ]


def _tail(k: float, num: int) -> list[str]:
    if k <= threshold(num):
        return []
    return [f"Pareto k-hat of the weights is {k:.2f}, above {threshold(num):.2f}: {CLOSER}"]
