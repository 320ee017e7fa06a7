"""Likelihoods in original units: log p(original) = log p(seen) + log |d seen / d original|."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from dgmrun.estimators.density import unseen_share
from dgmrun.protocols.values import Estimate, half_width

Ends = tuple[float | None, float | None]


def in_original_units(scores: tuple[Tensor, Estimate], log_jacobian: Tensor) -> tuple[Tensor, Estimate]:
    r"""Adds the log-Jacobians to log-probabilities of examples [N], and adjusts their mean and its error bar.

    The squared standard error becomes

    .. math::  \mathrm{SE}^2 + \left(\mathrm{var}(\log p + \log J) - \mathrm{var}(\log p)\right) / N

    and each half-width of the interval is adjusted likewise. Without a transform, and for quantities other than
    log-likelihoods, the scores are returned unchanged.
    """
    log_prob, estimate = scores
    if not estimate.known.is_log_density or not log_jacobian.any():
        return scores
    new, shift = log_prob + log_jacobian.to(log_prob), float(log_jacobian.mean())
    unseen = unseen_share(len(new), estimate.diagnostics.get("population"))
    further = float(new.var() - log_prob.var()) * unseen / len(new) if len(new) > 1 else 0.0
    wider = further * half_width(1.0, len(new)) ** 2 if len(new) > 1 else 0.0

    def error(of: float | None) -> float | None:
        return None if of is None else _hypot(of, further)

    def ends(value: float, of: Ends) -> Ends:
        below, above = (None if end is None else _hypot(end - value, wider) for end in of)
        return None if below is None else value + shift - below, None if above is None else value + shift + above

    diagnostics = {
        name: error(of) if name == "standard_error_examples" else of for name, of in estimate.diagnostics.items()
    }
    return new, replace(
        estimate,
        value=estimate.value + shift,
        standard_error=error(estimate.standard_error),
        interval=None if estimate.interval is None else ends(estimate.value, estimate.interval),
        diagnostics=diagnostics,
        curve=[(count, value + shift, *ends(value, (low, high))) for count, value, low, high in estimate.curve],
    )


def _hypot(length: float, further: float) -> float:
    """Returns sqrt(length^2 + further), or 0 if rounding makes the radicand negative."""
    return math.sqrt(max(0.0, length**2 + further))
