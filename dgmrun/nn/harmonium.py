r"""Exponential family harmonium: a restricted Boltzmann machine whose visible units are of any exponential family.

.. math:: f(x, h) = \exp\Big(\sum_i \eta_i(h)^\top T_i(x) + h^\top b\Big)

Hidden units h are binary. Given h, the units of x are independent, with sufficient statistics :math:`T_i(x)` and
natural parameters :math:`\eta_i(h)` that are affine in W h; given x, the logits of h are :math:`b + W^\top \phi(x)`.

References:
    Welling, Rosen-Zvi and Hinton (2005), Exponential family harmoniums with an application to information retrieval.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 4.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.nn.binary import LogPartition, annealed_bits, bernoulli, bits
from dgmrun.nn.settings import check_size
from dgmrun.protocols.values import Event

NUMBERS = 2**25
"""Most numbers that the natural parameters of states enumerated together consist of."""


class Harmonium(nn.Module, ABC):
    """A harmonium with binary hidden units; the visible units are those of a subclass.

    Args:
        event: event of one example.
        units: number of units that hidden units see, the size of phi(x).
        hidden: number of hidden units H.
        weight_std: standard deviation of the initial weights.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(self, event: Event, units: int, hidden: int, weight_std: float) -> None:
        super().__init__()
        check_size("hidden", hidden, 1)
        if weight_std < 0:
            raise ValueError(f"`model.weight_std` must not be negative, but is {weight_std}")
        self.event = event
        self.weight = nn.Parameter(weight_std * torch.randn(units, hidden))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    @abstractmethod
    def statistics(self, v: Tensor) -> Tensor:
        """Sufficient statistics T of v [batch, D], [batch, D, size]."""

    @abstractmethod
    def inputs(self, t: Tensor) -> Tensor:
        """phi, what hidden units see [batch, units], given statistics [batch, D, size]."""

    @abstractmethod
    def natural(self, field: Tensor) -> Tensor:
        """Natural parameters [..., D, size] of v, given the field W h [..., units]."""

    @abstractmethod
    def marginals(self, v: Tensor) -> Tensor:
        """Natural parameters [D, size] of independent units with the marginals of examples v [N, D]."""

    @abstractmethod
    def log_partition(self, eta: Tensor) -> Tensor:
        """Log of the sum (integral) of exp(eta'T(v)) over v, [...], given natural parameters [..., D, size]."""

    @abstractmethod
    def law(self, eta: Tensor) -> Distribution:
        """Distribution of v, unit by unit [..., D], with natural parameters [..., D, size]."""

    @abstractmethod
    def draw(self, eta: Tensor) -> Tensor:
        """Samples of v [..., D], with natural parameters [..., D, size]."""

    def alone(self) -> Tensor:
        """Natural parameters of v without hidden units, eta(0), [D, size]."""
        return self.natural(self.weight.new_zeros(len(self.weight)))

    def given(self, h: Tensor) -> Tensor:
        """Natural parameters of v given h [..., H]: eta(h), [..., D, size]."""
        return self.natural(h @ self.weight.t())

    def hidden_logits(self, v: Tensor) -> Tensor:
        """Logits of h [batch, H], given v [batch, D]."""
        return self.logits_at(self.statistics(v))

    def logits_at(self, t: Tensor) -> Tensor:
        """Logits of h [batch, H], given statistics [batch, D, size]."""
        return torch.addmm(self.hidden_bias, self.inputs(t), self.weight)

    def visible(self, h: Tensor) -> Distribution:
        """p(v | h), unit by unit [..., D], given h [..., H]."""
        return self.law(self.given(h))

    def draw_visible(self, h: Tensor) -> Tensor:
        """Samples of v [batch, D], given h [batch, H]."""
        return self.draw(self.given(h))

    def log_unnormalised(self, x: Tensor) -> Tensor:
        r""":math:`\eta(0)^\top T(x) + \sum_j \log(1 + e^{b_j + (W^\top \phi(x))_j})`, in nats [batch]."""
        return self.scored(x.flatten(1))[0]

    def scored(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """log f(v), h summed out, in nats [batch], and p(h = 1 | v) [batch, H], given v [batch, D]."""
        t = self.statistics(v)
        of_hidden, p = LogPartition.apply(self.logits_at(t))
        return score(t, self.alone()) + of_hidden.sum(-1), p

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Applies `steps` block Gibbs sweeps x -> h -> x to `x`."""
        v = x.flatten(1)
        for _ in range(steps):
            v = self.draw_visible(bernoulli(self.hidden_logits(v).sigmoid_()))
        return v.reshape(x.shape)

    def annealed(self, x: Tensor) -> HarmoniumPath:
        """Path from independent units with the marginals of `x`."""
        return HarmoniumPath(self, x)

    def enumerable_bits(self) -> int:
        """Number of hidden units H."""
        return len(self.hidden_bias)

    @torch.no_grad()
    def log_masses(self, index: Tensor) -> Tensor:
        """Log-masses of the states numbered `index` of the hidden units, x summed out, float64 [states]."""
        same = deepcopy(self).double()
        h = bits(index.to(same.weight.device), self.enumerable_bits()).double()
        blocks = h.split(max(1, NUMBERS // len(same.weight)))
        return torch.cat([block @ same.hidden_bias + same.log_partition(same.given(block)) for block in blocks])

    @torch.no_grad()
    def complete(self, index: Tensor) -> Tensor:
        """Samples of x given the states numbered `index` of the hidden units, [states, *event.shape]."""
        h = bits(index.to(self.weight.device), self.enumerable_bits()).to(self.weight)
        return self.draw_visible(h).reshape(-1, *self.event.shape)


class HarmoniumPath:
    r"""Annealing from independent visible units to a harmonium.

    .. math:: \log f_\beta(v) = ((1 - \beta) \eta^0 + \beta \eta(0))^\top T(v)
              + \sum_j \log(1 + e^{\beta (b_j + (W^\top \phi(v))_j)})

    A state is [chains, D]. Given h at beta, the natural parameters of v are :math:`(1 - \beta) \eta^0 + \beta \eta(h)`.

    References:
        Salakhutdinov and Murray (2008), equations 15 to 18, for binary units.
    """

    @torch.no_grad()
    def __init__(self, model: Harmonium, x: Tensor) -> None:
        self.model, self.base = model, model.marginals(x.reshape(len(x), -1).to(model.weight.device))
        self.change = model.alone() - self.base

    def log_normaliser(self) -> Tensor:
        r"""log Z at beta = 0: that of the independent units, plus :math:`H \log 2`."""
        return self.model.log_partition(self.base.double()) + len(self.model.hidden_bias) * math.log(2)

    def start(self, num: int) -> Tensor:
        """Samples of independent visible units, [num, D]."""
        return self.model.draw(self.base.expand(num, *self.base.shape))

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one block Gibbs sweep at `next_beta`; also returns the increment of the log-weight, [chains]."""
        t = self.model.statistics(state)
        h, increment = annealed_bits(self.model.logits_at(t), beta, next_beta)
        eta = self.base + next_beta * (self.model.given(h) - self.base)
        return self.model.draw(eta), increment + (next_beta - beta) * score(t, self.change)


def score(t: Tensor, eta: Tensor) -> Tensor:
    """eta'T summed over units, [batch], for statistics [batch, D, size] and natural parameters [D, size]."""
    return t.flatten(1) @ eta.flatten()
