r"""Restricted Boltzmann machine over binary units.

.. math:: p(v, h) = \exp(v^\top a + h^\top b + v^\top W h) / Z

References:
    Smolensky (1986), Information processing in dynamical systems: foundations of harmony theory.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dgmrun.nn.binary import PUBLISHED, Bernoulli, LogPartition, annealed_bits, bernoulli, bits, marginal_logits
from dgmrun.nn.sparse import affine
from dgmrun.protocols.values import Batch, Event


class RBM(nn.Module):
    """A Bernoulli restricted Boltzmann machine; x is the visible layer v, and the hidden layer is summed out.

    Args:
        event: event of one example; it must be binary.
        hidden: number of hidden units H.
        weight_std: standard deviation of the initial weights.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> rbm = RBM(Event((4,), "binary"), hidden=3)
        >>> rbm.log_unnormalised(torch.ones(2, 4)).shape
        torch.Size([2])
    """

    aliases: ClassVar[dict[str, str]] = PUBLISHED
    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "filters": ("weight W", "hidden unit", "visible unit"),
        "activity": ("p(h = 1 | x)", "example", "hidden unit"),
    }

    def __init__(self, event: Event, hidden: int = 500, weight_std: float = 0.01) -> None:
        super().__init__()
        event.require(("binary",), "an RBM")
        if hidden < 1:
            raise ValueError(f"`model.hidden` must be at least 1, but is {hidden}")
        if weight_std < 0:
            raise ValueError(f"`model.weight_std` must not be negative, but is {weight_std}")
        self.event = event
        self.weight = nn.Parameter(weight_std * torch.randn(event.dims, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(event.dims))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the visible biases to the logits of the smoothed means of `x`, so that marginals match if W = 0."""
        self.visible_bias.copy_(marginal_logits(x))

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Logits of h [batch, H], given v [batch, D]."""
        return affine(self.hidden_bias, v, self.weight)

    def visible_logits(self, h: Tensor) -> Tensor:
        """Logits of v [batch, D], given h [batch, H]."""
        return torch.addmm(self.visible_bias, h, self.weight.t())

    def visible(self, h: Tensor) -> Bernoulli:
        """p(v | h), [..., D], given h [..., H]."""
        return Bernoulli(self.visible_logits(h.flatten(0, -2)).unflatten(0, h.shape[:-1]))

    def draw_visible(self, h: Tensor) -> Tensor:
        """Samples of v [batch, D], given h [batch, H]."""
        return bernoulli(self.visible_logits(h).sigmoid_())

    def log_unnormalised(self, x: Tensor) -> Tensor:
        r"""Minus the free energy, :math:`v^\top a + \sum_j \log(1 + e^{b_j + (v^\top W)_j})`, in nats [batch]."""
        return self.scored(x.flatten(1))[0]

    def scored(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log f(v), h summed out, in nats [batch], and p(h = 1 | v) [batch, H], given v [batch, D]."""
        of_hidden, p = LogPartition.apply(self.hidden_logits(v))
        return v @ self.visible_bias + of_hidden.sum(-1), p

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Applies `steps` block Gibbs sweeps v -> h -> v to `x`."""
        v = x.flatten(1)
        for _ in range(steps):
            v = self.draw_visible(bernoulli(self.hidden_logits(v).sigmoid_()))
        return v.reshape(x.shape)

    @torch.no_grad()
    def means(self, x: Tensor, context: None = None) -> Tensor:
        """p(v = 1 | h), with h from p(h | x): a state of the chain is reached from h as it is left to h."""
        h = bernoulli(self.hidden_logits(x.flatten(1)).sigmoid_())
        return self.visible_logits(h).sigmoid_().reshape(x.shape)

    def annealed(self, x: Tensor) -> RBMPath:
        """Path from independent units with the marginals of `x`, as in Salakhutdinov and Murray (2008, section 4)."""
        return RBMPath(self, marginal_logits(x))

    def enumerable_bits(self) -> int:
        """Number of units of the smaller layer."""
        return min(self.weight.shape)

    @torch.no_grad()
    def log_masses(self, index: Tensor) -> Tensor:
        """Log-masses of the states numbered `index` of the smaller layer, the other summed out, float64 [states]."""
        near, far, weight = self.hidden_bias, self.visible_bias, self.weight.t()
        if len(far) < len(near):
            near, far, weight = far, near, self.weight
        state = bits(index.to(near.device), len(near)).double()
        return state @ near.double() + softplus(torch.addmm(far.double(), state, weight.double())).sum(-1)

    @torch.no_grad()
    def complete(self, index: Tensor) -> Tensor:
        """Samples of x given the states numbered `index` of the smaller layer, [states, *event.shape]."""
        state = bits(index.to(self.weight.device), self.enumerable_bits()).to(self.weight)
        hidden_is_smaller = len(self.hidden_bias) <= len(self.visible_bias)
        v = self.draw_visible(state) if hidden_is_smaller else state
        return v.reshape(-1, *self.event.shape)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Weights of each hidden unit [H, *event.shape], and probabilities of h given the examples [batch, H]."""
        filters = self.weight.t().reshape(-1, *self.event.shape)
        return {"filters": filters, "activity": torch.sigmoid(self.hidden_logits(batch.x.flatten(1)))}


class RBMPath:
    r"""Annealing from independent visible units to an RBM.

    .. math:: \log f_\beta(v) = v^\top((1 - \beta) c + \beta a) + \sum_j \log(1 + e^{\beta (b_j + (v^\top W)_j)})

    A state is [chains, D]. The weight and the transition share one matrix product.

    References:
        Salakhutdinov and Murray (2008), equations 15 to 18.
    """

    def __init__(self, model: RBM, base_logits: Tensor) -> None:
        self.weight, self.hidden_bias = model.weight.detach(), model.hidden_bias.detach()
        self.visible_bias, self.base_logits = model.visible_bias.detach(), base_logits.to(model.weight)

    def log_normaliser(self) -> Tensor:
        r"""log Z at beta = 0, :math:`\sum_i \log(1 + e^{c_i}) + H \log 2`."""
        return softplus(self.base_logits.double()).sum() + len(self.hidden_bias) * math.log(2)

    def start(self, num: int) -> Tensor:
        """Samples of independent visible units, [num, D]."""
        return bernoulli(torch.sigmoid(self.base_logits).expand(num, -1))

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one block Gibbs sweep at `next_beta`; also returns the increment of the log-weight, [chains]."""
        logits = affine(self.hidden_bias, state, self.weight)
        h, increment = annealed_bits(logits, beta, next_beta)
        tilt = (next_beta - beta) * (state @ (self.visible_bias - self.base_logits))
        bias = torch.lerp(self.base_logits, self.visible_bias, next_beta)
        v_logits = bias + next_beta * (h @ self.weight.t())
        return bernoulli(torch.sigmoid(v_logits)), tilt + increment
