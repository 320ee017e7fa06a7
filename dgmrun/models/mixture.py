r"""Mixture of Bernoullis for binary data, or of Gaussians with diagonal covariances for real data.

.. math:: p(x) = \sum_k \pi_k \prod_d p(x_d \mid k), \quad \pi = \mathrm{softmax}(w)

where p(x_d | k) is Bernoulli with logit :math:`a_{kd}`, or Gaussian with mean :math:`\mu_{kd}` and scale
:math:`\sigma_{kd}`.

References:
    McLachlan and Peel (2000), Finite mixture models.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dgmrun.nn.families import FAMILIES
from dgmrun.nn.standardise import first_layer
from dgmrun.protocols.values import Batch, Event

FEW = 10
"""Number of examples that a component is fitted to at the start."""


class Mixture(nn.Module):
    """A mixture of distributions with independent dimensions; log p(x) costs O(K D).

    Equal components would stay equal, so each starts with the fit to a few examples of its own, drawn at random.

    Args:
        event: event of one example; it must be binary or real.
        components: number of components K.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> mixture = Mixture(Event((4,), "binary"), components=3)
        >>> mixture.log_prob(mixture.sample(5)).shape
        torch.Size([5])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {"components": ("mean", "component", "dimension")}

    def __init__(self, event: Event, components: int = 20) -> None:
        super().__init__()
        event.require(("binary", "real"), "a mixture")
        if components < 1:
            raise ValueError(f"`model.components` must be at least 1, but is {components}")
        self.event, self.family, self.standardise = event, FAMILIES[event.kind](event), first_layer(event)
        self.weights = nn.Parameter(torch.zeros(components))
        self.output_bias = nn.Parameter(torch.randn(components, event.dims, self.family.size))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Fits each component to a few examples of `x`."""
        self.standardise.fit(x)
        z, drawn = self.standardise(x), torch.randint(len(x), (len(self.output_bias), FEW))
        self.output_bias.copy_(torch.stack([self.family.start(z[few]) for few in drawn]))

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, k) of every component k, [batch, K]."""
        log_given = self._log_given(self.standardise(x)) + self.standardise.log_jacobian()
        return self.weights.log_softmax(0) + log_given

    def _log_given(self, z: Tensor) -> Tensor:
        """log p(z | k), [batch, K]; of bits by a product of matrices, as [batch, K, D] terms would not fit a cache."""
        if self.event.kind == "binary":
            logits = self.output_bias.squeeze(-1)
            return z @ logits.t() - softplus(logits).sum(-1)
        return self.family(self.output_bias).log_prob(z.unsqueeze(1)).sum(-1)

    def log_prob(self, x: Tensor, context: None = None) -> Tensor:
        """log p(x) in nats, [batch]; x may be real-valued, for gradients in x."""
        return self.log_joint(x).logsumexp(-1)

    @torch.no_grad()
    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        k = torch.multinomial(self.weights.softmax(0), num, replacement=True)
        return self.standardise.inverse(self.family(self.output_bias[k]).sample()).reshape(-1, *self.event.shape)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Mean of each component, [K, *event.shape], the one with the greatest weight first."""
        likeliest = self.weights.argsort(descending=True)
        mean = self.standardise.inverse(self.family(self.output_bias[likeliest]).mean)
        return {"components": mean.reshape(-1, *self.event.shape)}
