r"""The surrogate that contrastive objectives descend.

.. math:: \mathcal{L} = -\frac{1}{B} \sum_b \log f(x_b) + \frac{1}{C} \sum_c \log f(\tilde x_c)

With :math:`\tilde x` drawn from the model and held fixed, its gradient is that of the negative log-likelihood.

References:
    Hinton (2002), Training products of experts by minimizing contrastive divergence, equation 5.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def contrast(model: Any, x: Float[Tensor, "batch ..."], x_model: Float[Tensor, "chains ..."]) -> Float[Tensor, ""]:
    """Mean log f of `x_model`, held fixed, less that of `x`, in nats; one product serves both."""
    log_f = model.log_unnormalised(torch.cat([x, x_model.detach()]))
    share = torch.cat([log_f.new_full((len(x),), -1 / len(x)), log_f.new_full((len(x_model),), 1 / len(x_model))])
    return log_f @ share
