r"""Lower bound on a divergence between data p and samples q of a model, from a classifier that tells them apart.

.. math:: D(p, q) \ge D_{max} \left(1 - \tfrac12 E_p[l(f)] / l(0) - \tfrac12 E_q[l(-f)] / l(0)\right)

for any logit f, with equality at f = log p - log q: the relative reduction of a proper loss l, compared to f = 0.

- `log`: l(f) = softplus(-f), the Jensen-Shannon divergence, at most log 2 nats.
- `brier`: l(f) = sigma(-f)^2, Le Cam's 1/2 int (p - q)^2 / (p + q), at most 1.
- `exponential`: l(f) = exp(-f / 2), the squared Hellinger distance 1 - int sqrt(p q), at most 1.

By cross-fitting, each half of the examples and samples is scored by a classifier trained on the other half, so that the
bound holds in expectation for any classifier. Logits are clipped to the log of the number of training examples, and the
interval allows for errors too rare to occur among n examples and n samples, whose rate is at most 3.25 / n.

Other data would give other losses and other classifiers. The standard error is the sum of both parts, since the same
rows are scored and learned from. The second part is measured by training on each half of the training rows alone: the
variance of the bound over such classifiers, divided by 2 for twice as many rows, and by 2 for the mean of both folds.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661, theorem 1.
    Friedman (2001), Greedy function approximation: a gradient boosting machine.
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
    Buja, Stuetzle and Shen (2005), Loss functions for binary class probability estimation: the exponential loss.
    Reid and Williamson (2011), Information, divergence and risk for binary experiments, section 4: losses of
    divergences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import softplus

from dgmrun.errors import Mistake
from dgmrun.protocols.methods import FidelityMethod
from dgmrun.protocols.models import Sampler, context_of
from dgmrun.protocols.values import Estimate, Evidence, half_width

LEAST, MOST_LEVELS = 100, 2**16
"""Smallest number of examples to split and train trees on; largest number of levels, which float32 resolves well."""
UNSEEN = 3.25
"""Half of -log 0.0015: at a mean error rate of 3.25 / n, n examples and n samples show no error in 0.15 % of cases."""


class Loss(NamedTuple):
    """A proper loss l, and the divergence that it bounds.

    Args:
        quantity: name of the divergence.
        most: largest value of the divergence, for p and q with disjoint supports.
        of: the loss l(f) of the logit f of the true class.
    """

    quantity: str
    most: float
    of: Callable[[Tensor], Tensor]


LOSSES = {
    "log": Loss("jsd", math.log(2), lambda f: softplus(-f)),
    "brier": Loss("le_cam", 1.0, lambda f: torch.sigmoid(-f).square()),
    "exponential": Loss("squared_hellinger", 1.0, lambda f: torch.exp(-f / 2)),
}


@dataclass(frozen=True)
class Ratio(FidelityMethod):
    """The bound from gradient-boosted trees, with early stopping on the log loss of a held-out tenth of each half.

    Args:
        trees: maximal number of trees.
        loss: `log`, `brier` or `exponential`: the loss by which the classifier is scored, which selects the divergence.
        levels: number of grey levels, from 0 to 1, to which examples and samples are rounded; 0 for no rounding.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Sampler
    fewest: ClassVar[int] = LEAST
    trees: int = 300
    loss: str = "log"
    levels: int = 0

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise ValueError(f"`fidelity.ratio.trees` must be at least 1, but is {self.trees}")
        if self.loss not in [*LOSSES]:
            raise ValueError(f"`fidelity.ratio.loss` must be one of {', '.join(LOSSES)}, but is {self.loss}")
        if self.levels and not 2 <= self.levels <= MOST_LEVELS:
            raise ValueError(f"`fidelity.ratio.levels` must be 0 or 2 to {MOST_LEVELS}, but is {self.levels}")

    def is_automatic(self, model: Any) -> bool:
        """Returns whether the model is unconditional: the trees see no context, nor how x depends on it."""
        return context_of(model) is None

    def check(self, model: Any) -> None:
        """Raises ValueError if `levels` is set for data that are not in [0, 1]."""
        if self.levels and model.event.kind != "unit":
            raise ValueError(f"`fidelity.ratio.levels` must be 0 for {model.event.kind} data, but is {self.levels}")

    @torch.no_grad()
    def __call__(self, model: Any, evidence: Evidence) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """Returns log p - log q of each example, and the bound; draws as many samples as there are examples."""
        x = evidence.batch.rows(slice(None)).x
        if len(x) < LEAST:
            raise Mistake(f"`fidelity.examples` must be at least {LEAST} for fidelity.ratio, but there are {len(x)}")
        sample = model.sample(len(x), evidence.batch.context).to(x)
        both = self._rounded(torch.stack([each.reshape(len(x), -1) for each in (x, sample)])).cpu().numpy()
        order = torch.randperm(len(x)).numpy()
        f = np.empty(both.shape[:2])
        one, other = np.array_split(order, 2)
        apart = []
        for train, scored in ((one, other), (other, one)):
            f[:, scored] = self._log_odds(both[:, train], both[:, scored])
            first, second = (self._log_odds(both[:, part], both[:, scored]) for part in np.array_split(train, 2))
            apart.append(self._bound(torch.from_numpy(first)) - self._bound(torch.from_numpy(second)))
        log_ratio = torch.from_numpy(f)
        return log_ratio[0].to(x.device), self._estimate(log_ratio, math.hypot(*apart) / 4)

    def _rounded(self, x: Tensor) -> Tensor:
        return (x.clamp(0, 1) * (self.levels - 1)).round() if self.levels else x

    def _log_odds(self, train: ndarray, scored: ndarray) -> ndarray:
        """Trains a classifier of examples against samples [2, rows, dims]; returns logits of `scored` [2, rows].

        They are clipped to the log of the number of training examples.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        seed = int(torch.randint(2**31, ()))
        trees = HistGradientBoostingClassifier(max_iter=self.trees, early_stopping=True, random_state=seed)
        trees.fit(train.reshape(-1, train.shape[-1]), np.repeat([1, 0], train.shape[1]))
        log_odds: ndarray = trees.decision_function(scored.reshape(-1, scored.shape[-1])).reshape(2, -1)
        surest = math.log(train.shape[1])
        return log_odds.clip(-surest, surest)

    def _bound(self, f: Tensor) -> float:
        """The bound, from logits of examples and of samples, [2, rows]."""
        _, most, loss = LOSSES[self.loss]
        return most * (1 - float(loss(_of_truth(f)).mean() / loss(f.new_zeros(()))))

    def _estimate(self, f: Tensor, of_training: float = 0.0) -> Estimate:
        """Computes the estimate from logits of examples and of samples [2, rows], and the error due to training."""
        of_truth, value = _of_truth(f), self._bound(f)
        quantity, most, loss = LOSSES[self.loss]
        scale = most / float(loss(f.new_zeros(())))
        of_scoring = scale * math.sqrt(float(loss(of_truth).var(1).sum()) / f.shape[1]) / 2
        error = of_scoring + of_training
        unseen = scale * UNSEEN / f.shape[1] * float(loss(-f.abs().max()))
        return Estimate(
            quantity,
            value=value,
            standard_error=error,
            interval=(value - half_width(error, f.shape[1]) - unseen, None),
            kind="lower_bound",
            bias="down",
            samples=f.shape[1],
            settings=asdict(self),
            diagnostics={
                "log_loss": float(LOSSES["log"].of(of_truth).mean()),
                "brier": float(LOSSES["brier"].of(of_truth).mean()),
                "accuracy": float((of_truth > 0).double().mean()),
                "calibration": _calibration(f),
                "standard_error_training": of_training,
            },
        )


def _of_truth(f: Tensor) -> Tensor:
    """Logits of the true class of examples and of samples, [2, rows]."""
    return torch.stack((f[0], -f[1]))


def _calibration(f: Tensor) -> float:
    """Expected calibration error: mean gap between predicted and observed frequencies over ten equally filled bins."""
    order = f.flatten().argsort()
    forecast = torch.sigmoid(f.flatten())[order].tensor_split(10)
    is_example = torch.tensor([1.0, 0.0], dtype=f.dtype).repeat_interleave(f.shape[1])[order].tensor_split(10)
    gaps = [float((p.mean() - y.mean()).abs()) for p, y in zip(forecast, is_example, strict=True)]
    return sum(gaps) / len(gaps)
