r"""Surrogate loss of the contrastive objectives.

.. math:: \mathcal{L} = -\frac{1}{B} \sum_b \log f(x_b) + \frac{1}{C} \sum_c \log f(\tilde x_c)

If :math:`\tilde x` are samples of the model, held fixed, the expected gradient is that of the negative log-likelihood.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor


def contrast(model: Any, x: Num[Tensor, "batch ..."], x_model: Num[Tensor, "chains ..."]) -> Float[Tensor, ""]:
    """Returns the mean of log f at `x_model`, held fixed, minus that at `x`, in nats, from one evaluation of log f."""
    return difference(model.log_unnormalised(torch.cat([x, x_model.detach()])), len(x))


def difference(log_f: Float[Tensor, " both"], num: int) -> Float[Tensor, ""]:
    """Returns the mean of log f of all states but the first `num`, minus that of these."""
    others = len(log_f) - num
    return log_f @ torch.cat([log_f.new_full((num,), -1 / num), log_f.new_full((others,), 1 / others)])
