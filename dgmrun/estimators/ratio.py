r"""What a classifier knows: a lower bound on the Jensen-Shannon divergence of data p and samples q of a model, in nats.

.. math:: \mathrm{JSD}(p, q) \ge \log 2 + \tfrac12 E_p[\log \sigma(f)] + \tfrac12 E_q[\log \sigma(-f)]

equal where f = log p - log q. Examples and samples are halved, and each half is scored by a classifier that was trained
on the other, so that the bound holds in the mean whatever was learnt. The divergence is between 0 and log 2.

References:
    Goodfellow et al. (2014), Generative adversarial networks, https://arxiv.org/abs/1406.2661, theorem 1.
    Friedman (2001), Greedy function approximation: a gradient boosting machine.
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import logsigmoid

from dgmrun.errors import Mistake
from dgmrun.protocols import Estimate, Sampler

SUREST = 30.0
"""Log odds of a classifier are kept within so much of 0, so that they are finite."""


@dataclass(frozen=True)
class Ratio:
    """The bound, by gradient boosting, which stops when the log loss of a tenth of its half says so.

    Args:
        trees: at most so many.

    Raises:
        ValueError: names the key.
    """

    requires: ClassVar[type] = Sampler
    is_automatic: ClassVar[bool] = False
    simulates: ClassVar[int] = 0
    trees: int = 300

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise ValueError(f"`likelihood.ratio.trees` must be at least 1, but is {self.trees}")

    def check(self, model: Any) -> None:
        """Any sampler will do."""

    @torch.no_grad()
    def __call__(self, model: Any, x: Tensor, known: Tensor) -> tuple[Float64[Tensor, "examples"], Estimate]:
        """log p - log q of each example, and the bound; as many samples are drawn as there are examples."""
        if len(x) < 40:
            raise Mistake(f"`likelihood.examples` must be at least 40 for likelihood.ratio, but there are {len(x)}")
        both = torch.stack([x.flatten(1), model.sample(len(x)).to(x).flatten(1)]).cpu().numpy()
        order = torch.randperm(len(x)).numpy()
        f = np.empty(both.shape[:2])
        one, other = np.array_split(order, 2)
        for train, scored in ((one, other), (other, one)):
            f[:, scored] = self._log_odds(both[:, train], both[:, scored])
        log_ratio = torch.from_numpy(f).clamp(-SUREST, SUREST)
        return log_ratio[0].to(x.device), self._estimate(log_ratio)

    def _log_odds(self, train: ndarray, scored: ndarray) -> ndarray:
        """Of being an example, by a classifier of examples and samples, [2, rows] of [2, rows, dims]."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        seed = int(torch.randint(2**31, ()))
        trees = HistGradientBoostingClassifier(max_iter=self.trees, early_stopping=True, random_state=seed)
        trees.fit(train.reshape(-1, train.shape[-1]), np.repeat([1, 0], train.shape[1]))
        p = trees.predict_proba(scored.reshape(-1, scored.shape[-1]))
        with np.errstate(divide="ignore"):
            return np.log(p[:, 1] / p[:, 0]).reshape(2, -1)

    def _estimate(self, f: Tensor) -> Estimate:
        """Of log odds of examples and of samples, [2, rows]."""
        right = torch.stack((logsigmoid(f[0]), logsigmoid(-f[1])))
        value = math.log(2) + float(right.mean())
        error = math.sqrt(float(right.var(1).sum()) / f.shape[1]) / 2
        return Estimate(
            value=value,
            standard_error=error,
            interval=(value - 3 * error, None),
            kind="lower_bound",
            bias="down",
            quantity="jsd",
            samples=f.shape[1],
            settings=asdict(self),
            diagnostics={
                "log_loss": -float(right.mean()),
                "brier": float((1 - right.exp()).square().mean()),
                "accuracy": float((right > -math.log(2)).double().mean()),
                "calibration": _calibration(f),
            },
        )


def _calibration(f: Tensor) -> float:
    """Mean distance of what is forecast from what is so, over ten bins of equally many forecasts."""
    order = torch.sigmoid(f.flatten()).argsort()
    forecast = torch.sigmoid(f.flatten())[order].tensor_split(10)
    is_example = torch.tensor([1.0, 0.0], dtype=f.dtype).repeat_interleave(f.shape[1])[order].tensor_split(10)
    gaps = [float((p.mean() - y.mean()).abs()) for p, y in zip(forecast, is_example, strict=True)]
    return sum(gaps) / len(gaps)
