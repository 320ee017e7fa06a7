r"""The first half of a Gibbs step, x -> h, to a layer of binary units, with its log-probabilities both ways.

.. math:: \log q(h \mid x) - \log p(x \mid h) = F_v(x) - F_h(h)

for the free energies F of either layer: log p(x, h) is a term of both, and cancels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.distributions import Distribution

from dgmrun.latent.chain import chain_bound
from dgmrun.nn.binary import LogBernoulli, bernoulli, precise
from dgmrun.protocols.samplers import TwoLayers
from dgmrun.protocols.sources import Source


class HalfStep(NamedTuple):
    """Draws of h for each example, h not differentiable.

    Args:
        visible: p(x | h), [draws, batch, D].
        log_q: log q(h_i | x_j), a row for each h and a column for each x, [draws, batch, batch].
        log_px: log p(x_i | h_i), [draws, batch].
    """

    visible: Distribution
    log_q: Float[Tensor, "draws batch batch"]
    log_px: Float[Tensor, "draws batch"]

    @property
    def bound(self) -> Tensor:
        """Terms of `chain_bound`, [draws, batch]."""
        return chain_bound(self.log_q, self.log_px)


def check_others(data: Source) -> None:
    """Refuses a batch size of 1 per process, as the prior of the chain bound of an example is the others.

    Raises:
        ValueError: the batch size is too small.
    """
    if data.batch_size // data.world_size < 2:
        raise ValueError(f"`dataset.batch_size` must be at least 2 for each process, but is {data.batch_size}")


def half_step(model: TwoLayers, x: Num[Tensor, "batch ..."], draws: int = 1) -> HalfStep:
    """Draws h given each example; log q(h | x) is h'l + log q(0 | x) for logits l, so that all pairs cost a product."""
    v = x.reshape(len(x), -1)
    logits = precise(model.hidden_logits(v))
    log_q_zero, p = LogBernoulli.apply(logits.unsqueeze(0), torch.zeros_like(logits))
    h = bernoulli(p.detach().expand(draws, -1, -1))
    visible = model.visible(h)
    with torch.autocast(x.device.type, enabled=False):  # log q can be hundreds of nats
        return HalfStep(visible, h @ logits.t() + log_q_zero, visible.log_prob(v).sum(-1))
