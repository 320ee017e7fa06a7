r"""Gradient of the importance-weighted bound L_K if z cannot be reparameterised.

.. math:: \nabla L_K = E\Big[\sum_i (\hat L - \hat L_{-i})\, \nabla \log q(z_i \mid x)
          + \sum_i \tilde w_i \nabla \log w_i\Big], \qquad
          \hat L_{-i} = \log \frac{1}{K} \Big(\sum_{j \ne i} w_j + \exp \frac{\sum_{j \ne i} \log w_j}{K - 1}\Big)

where L-hat is the log of the mean weight. The estimator is unbiased, since L-hat_-i does not depend on z_i.

References:
    Mnih and Rezende (2016), Variational inference for Monte Carlo objectives, https://arxiv.org/abs/1602.06725,
    equations 5, 8 and 10.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from dgmrun.latent.bounds import iwae


def vimco(log_w: Float[Tensor, "samples batch"], log_q: Float[Tensor, "samples batch"]) -> Float[Tensor, ""]:
    """Surrogate objective, a mean over the batch, whose gradient is the estimate; its value has no meaning.

    Args:
        log_w: log-weights of at least two samples of each example, with gradients.
        log_q: log q(z_i | x) of the samples, with gradients.
    """
    bound = iwae(log_w)
    signal = bound.detach() - without_each(log_w.detach())
    return ((signal * log_q).sum(0) + bound).mean()


def without_each(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, "samples batch"]:
    """L-hat_-i of each sample: L-hat with its weight replaced by the geometric mean of the other weights."""
    num = len(log_w)
    others = (log_w.sum(0) - log_w) / (num - 1)
    replaced = torch.where(torch.eye(num, dtype=torch.bool, device=log_w.device).unsqueeze(-1), others, log_w)
    return torch.logsumexp(replaced, 1) - math.log(num)
