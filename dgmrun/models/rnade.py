r"""Real-valued neural autoregressive density estimator: each conditional is a mixture of Gaussians or of Laplacians.

.. math:: p(x) = \prod_d \sum_k \alpha_{dk}\, p(x_d; \mu_{dk}, \sigma_{dk}), \quad
          h_d = \max(0, \rho_d (c + \textstyle\sum_{i<d} x_i W_i)), \\
          \alpha_d = \mathrm{softmax}(V^\alpha_d h_d + b^\alpha_d), \quad \mu_d = V^\mu_d h_d + b^\mu_d, \quad
          \sigma_d = \epsilon + \exp(V^\sigma_d h_d + b^\sigma_d)

x is standardised first, and :math:`\epsilon` is a thousandth of a standard deviation: values that are repeated in the
data would otherwise let a scale shrink, and the density grow, without end.

References:
    Uria, Murray and Larochelle (2013), RNADE: the real-valued neural autoregressive density-estimator, equations 2 to 9
    and 13; their gradient of the means is multiplied by the standard deviations, ours is left to the optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Laplace, MixtureSameFamily, Normal
from torch.nn.functional import linear

from dgmrun.models.nade import permutation
from dgmrun.nn.context import ContextVector
from dgmrun.nn.observation import LEAST_SCALE
from dgmrun.nn.standardise import Standardise
from dgmrun.protocols.values import Event

FAMILIES = {"gaussian": Normal, "laplace": Laplace}


class RNADE(nn.Module):
    """A mixture of Gaussians or Laplacians for each dimension given those before it.

    Args:
        event: event of one example; it must be real.
        hidden: number of hidden units H.
        components: number K of components of each mixture.
        family: `gaussian` or `laplace`.
        order: order of the dimensions: null for that of the data, an integer as the seed of a random permutation, or
            the permutation as a list.
        context: event of the context, if any, whose vector y shifts the biases of hidden units to c + B y.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> rnade = RNADE(Event((3,), "real"), hidden=4)
        >>> rnade.log_prob(rnade.sample(5)).shape
        torch.Size([5])
    """

    order: Tensor

    def __init__(
        self,
        event: Event,
        hidden: int = 50,
        components: int = 10,
        family: str = "gaussian",
        order: int | Sequence[int] | None = None,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real",), "an RNADE")
        for key, value in (("hidden", hidden), ("components", components)):
            if value < 1:
                raise ValueError(f"`model.{key}` must be at least 1, but is {value}")
        if family not in FAMILIES:
            raise ValueError(f"`model.family` must be {' or '.join(FAMILIES)}, but is {family}")
        self.event, self.family = event, FAMILIES[family]
        self.context, self.vector = context, ContextVector(context)
        self.weight = nn.Parameter(torch.randn(event.dims, hidden) / math.sqrt(event.dims))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.rescaling = nn.Parameter(1 / torch.arange(1.0, event.dims + 1).sqrt())
        self.output_weight = nn.Parameter(torch.randn(event.dims, hidden, 3, components) / (10 * math.sqrt(hidden)))
        bias = torch.zeros(event.dims, 3, components)
        bias[:, 1] = torch.linspace(-1.5, 1.5, components) if components > 1 else 0.0
        self.output_bias = nn.Parameter(bias)
        if context is not None:
            self.hidden_told = nn.Parameter(torch.randn(hidden, self.vector.size) / math.sqrt(self.vector.size))
        self.standardise = Standardise(event.dims)
        self.register_buffer("order", permutation(order, event.dims), persistent=False)

    def initialise(self, x: Tensor) -> None:
        """Fits the standardisation to `x`."""
        self.standardise.fit(x)

    def _hidden_bias(self, context: Tensor | None) -> Tensor:
        """The bias c [1, H], or, given contexts, c + B y [batch, 1, H]."""
        y = self.vector(context, self.weight)
        bias = self.hidden_bias if y is None else linear(y, self.hidden_told, self.hidden_bias)
        return bias.unsqueeze(-2)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]."""
        z = self.standardise(x)[:, self.order]
        terms = z.unsqueeze(-1) * self.weight
        a = self._hidden_bias(context) + terms.cumsum(1) - terms
        return self._conditionals(a, slice(None)).log_prob(z).sum(1) + self.standardise.log_jacobian()

    def _conditionals(self, a: Tensor, which: slice) -> MixtureSameFamily:
        """The conditionals of some dimensions, [batch, dims], given the sums a [batch, dims, H] over those before."""
        h = torch.relu(self.rescaling[which, None] * a)
        logits, mean, log_scale = (
            torch.einsum("ndh,dhok->ndok", h, self.output_weight[which]) + self.output_bias[which]
        ).unbind(2)
        mixed = Categorical(logits=logits, validate_args=False)
        components = self.family(mean, LEAST_SCALE + log_scale.exp(), validate_args=False)
        return MixtureSameFamily(mixed, components, validate_args=False)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], drawn one dimension after another."""
        a, z = self._hidden_bias(context).expand(num, 1, -1), []
        for d, w in enumerate(self.weight):
            z.append(self._conditionals(a, slice(d, d + 1)).sample())
            a = a + z[-1].unsqueeze(-1) * w
        return self.standardise.inverse(torch.cat(z, 1)[:, self.order.argsort()]).reshape(num, *self.event.shape)
