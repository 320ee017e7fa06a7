r"""Layers of binary units z given the units c of another layer; each maps c to a distribution of z.

- `factorised`: :math:`p(z_i = 1 \mid c) = \sigma(b_i(c))`.
- `darn`: :math:`p(z_i = 1 \mid z_{<i}, c) = \sigma(b_i(c) + \sum_{j<i} R_{ij} z_j)`.
- `nade`: :math:`p(z_i = 1 \mid z_{<i}, c) = \sigma(b_i(c) + V_i \cdot \sigma(a(c) + \sum_{j<i} W_j z_j))`.

References:
    Gregor, Danihelka, Mnih, Blundell and Wierstra (2014), Deep autoregressive networks, https://arxiv.org/abs/1310.8499.
    Bornschein and Bengio (2015), Reweighted wake-sleep, https://arxiv.org/abs/1406.2751, section 4.1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from dgmrun.nn.autoregression import products
from dgmrun.nn.binary import Bernoulli, bernoulli, precise

AVERAGED = 100
"""Number of samples by which the mean of an autoregressive layer is estimated."""


class Layer(nn.Module):
    """Maps c [..., inputs] to p(z | c), unit by unit.

    Args:
        units: number of units of z.
        net: makes a network from c to vectors of a given size.
        width: number of hidden units of a `nade`.
    """

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__()
        self.net = net(units)

    @abstractmethod
    def forward(self, c: Tensor) -> Distribution:
        """p(z | c), [..., units]."""


class Factorised(Layer):
    """Conditionally independent units."""

    def forward(self, c: Tensor) -> Bernoulli:
        """Returns p(z | c), whose logits are the output of the network."""
        return Bernoulli(self.net(c))


class DARN(Layer):
    """Deep autoregressive network: the logit of each unit is linear in the units before it."""

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__(units, net, width)
        self.weight = nn.Parameter(torch.randn(units, units) / units)

    def forward(self, c: Tensor) -> LinearChain:
        """Returns p(z | c), whose biases are the output of the network."""
        return LinearChain(self.net(c), self.weight)


class NADE(Layer):
    """Neural autoregressive distribution estimator: each unit depends on those before it through hidden units."""

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__(units, net, width)
        self.hidden_net = net(width)
        self.weight = nn.Parameter(torch.randn(units, width) / math.sqrt(units))
        self.output_weight = nn.Parameter(torch.randn(units, width) / math.sqrt(width + 1))

    def forward(self, c: Tensor) -> HiddenChain:
        """Returns p(z | c), whose visible and hidden biases are outputs of networks."""
        return HiddenChain(self.net(c), self.hidden_net(c), self.weight, self.output_weight)


LAYERS: dict[str, type[Layer]] = {"factorised": Factorised, "darn": DARN, "nade": NADE}


class Chain(Distribution):
    """Autoregressive distribution of binary units; log_prob returns a term for each unit.

    Args:
        bias: bias of the logit of each unit, [..., units].
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, bias: Tensor) -> None:
        super().__init__(bias.shape, validate_args=False)
        self.bias = precise(bias)

    @abstractmethod
    def log_odds(self, z: Tensor) -> Tensor:
        """Logit of every unit given those before it in `z` [..., units]."""

    @abstractmethod
    def _draw(self, z: Tensor) -> None:
        """Fills `z` [..., units] with a sample."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p of every unit given those before it, [..., units]."""
        log_odds = self.log_odds(z)
        return z * log_odds - softplus(log_odds)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws the units one after another."""
        z = self.bias.new_zeros(self._extended_shape(sample_shape))
        self._draw(z)
        return z

    @property
    def mean(self) -> Tensor:
        """Monte Carlo estimate of the mean, from fewer samples if `bias` already has a sample axis."""
        num = max(1, AVERAGED // self.bias.shape[:-2].numel())
        return self.sample(torch.Size([num])).mean(0)


class LinearChain(Chain):
    """Distribution of a DARN layer; only the part of `weight` [units, units] below the diagonal is used."""

    def __init__(self, bias: Tensor, weight: Tensor) -> None:
        super().__init__(bias)
        self.weight = weight

    def log_odds(self, z: Tensor) -> Tensor:
        return self.bias + z @ self.weight.tril(-1).t()

    def _draw(self, z: Tensor) -> None:
        bias = self.bias.expand_as(z)
        for i, row in enumerate(self.weight):
            z[..., i] = bernoulli(torch.sigmoid(bias[..., i] + z[..., :i] @ row[:i]))


class HiddenChain(Chain):
    """Distribution of a NADE layer, with hidden bias [..., width] and weights [units, width]."""

    def __init__(self, bias: Tensor, hidden_bias: Tensor, weight: Tensor, output_weight: Tensor) -> None:
        super().__init__(bias)
        self.hidden_bias, self.weight, self.output_weight = hidden_bias, weight, output_weight

    def log_odds(self, z: Tensor) -> Tensor:
        hidden_bias = self.hidden_bias.expand(*z.shape[:-1], -1).flatten(0, -2)
        found = products(z.flatten(0, -2), self.weight, self.output_weight, hidden_bias)
        return self.bias + found.reshape(z.shape)

    def _draw(self, z: Tensor) -> None:
        bias, a = self.bias.expand_as(z), self.hidden_bias.expand(*z.shape[:-1], -1).clone()
        for i, (w, v) in enumerate(zip(self.weight, self.output_weight, strict=True)):
            z[..., i] = bernoulli(torch.sigmoid(bias[..., i] + torch.sigmoid(a) @ v))
            a += z[..., i : i + 1] * w
