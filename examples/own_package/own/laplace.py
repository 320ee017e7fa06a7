r"""Independent Laplace variables, :math:`p(x) = \prod_i e^{-|x_i - \mu_i| / s_i} / (2 s_i)`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent
from torch.distributions import Laplace as OfOne

from dgmrun.protocols.values import Event


class Laplace(nn.Module):
    """What `log_prob` and `sample` make it: a tractable density, for every stage and as a student of any teacher.

    Args:
        event: event of one example; it must be real.
        scale: scale of each variable at the start.

    Raises:
        ValueError: the event is not real, or the scale not positive; the message names the key.
    """

    def __init__(self, event: Event, scale: float) -> None:
        super().__init__()
        event.require(("real",), "a Laplace distribution")
        if scale <= 0:
            raise ValueError(f"`model.scale` must be positive, but is {scale}")
        self.event = event
        self.mean = nn.Parameter(torch.zeros(event.shape))
        self.log_scale = nn.Parameter(torch.full(event.shape, scale).log())

    @property
    def law(self) -> Independent:
        """The distribution of one example."""
        return Independent(OfOne(self.mean, self.log_scale.exp(), validate_args=False), len(self.event.shape))

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """log p(x) in nats, [batch]."""
        return self.law.log_prob(x)

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples, [num, *event.shape]."""
        return self.law.sample((num,))
