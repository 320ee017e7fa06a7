r"""Upper bound on -log p(x) of the directed chain z -> x whose prior on z is the training data pushed through q.

.. math:: E_{q(z \mid x_i)}\Big[\log q(z \mid x_i) - \log \pi_i(z) - \log p(x_i \mid z)\Big], \qquad
          \pi_i(z) = \frac{1}{B - 1} \sum_{j \ne i} q(z \mid x_j)

It is KL(q(x, z) || p(x, z)) of the two directions of a step x -> z -> x, but for the entropy of the data. The prior of
an example leaves it out, as it would an example that is not among the data. In training, the data are the batch.

It says how well a step of a chain is undone, and nothing of where the chain goes: the law of a restricted Boltzmann
machine or of a denoising auto-encoder is another than :math:`\sum_z \pi(z) p(x \mid z)`. It is no likelihood. With a
prior of all examples it would be below the exact -log p of any Boltzmann machine, by KL(mean of q(h | x) || p(h)).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def chain_bound(
    log_q: Float[Tensor, "*draws batch batch"], log_px: Float[Tensor, "*draws batch"]
) -> Float[Tensor, "*draws batch"]:
    """Returns the term of each draw in nats, whose expectation is the bound; it is infinite for a single example.

    Args:
        log_q: log q(z_i | x_j), for z_i drawn from q(z | x_i): a row for each z, a column for each x.
        log_px: log p(x_i | z_i).
    """
    own = log_q.diagonal(dim1=-2, dim2=-1)
    itself = torch.eye(log_q.shape[-1], dtype=torch.bool, device=log_q.device)
    log_prior = log_q.masked_fill(itself, -math.inf).logsumexp(-1) - math.log(max(1, len(itself) - 1))
    return own - log_prior - log_px
