r"""Layers of binary units z given the units c of another layer; each is a map from c to a distribution of z.

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
"""Samples of which the mean of an autoregressive layer is taken."""


class Layer(nn.Module):
    """From c [..., inputs] to p(z | c), unit by unit.

    Args:
        units: of z.
        net: makes a map from c to vectors of a given size.
        width: hidden units of a `nade`.
    """

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__()
        self.net = net(units)

    @abstractmethod
    def forward(self, c: Tensor) -> Distribution:
        """p(z | c), [..., units]."""


class Factorised(Layer):
    """Independent units."""

    def forward(self, c: Tensor) -> Bernoulli:
        """From log odds."""
        return Bernoulli(self.net(c))


class DARN(Layer):
    """Each unit sees those before it."""

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__(units, net, width)
        self.weight = nn.Parameter(torch.randn(units, units) / units)

    def forward(self, c: Tensor) -> LinearChain:
        """From log odds without what comes before."""
        return LinearChain(self.net(c), self.weight)


class NADE(Layer):
    """Each unit sees those before it through hidden units, whose weights are shared."""

    def __init__(self, units: int, net: Callable[[int], nn.Module], width: int) -> None:
        super().__init__(units, net, width)
        self.hidden_net = net(width)
        self.weight = nn.Parameter(torch.randn(units, width) / math.sqrt(units))
        self.output_weight = nn.Parameter(torch.randn(units, width) / math.sqrt(width + 1))

    def forward(self, c: Tensor) -> HiddenChain:
        """From both biases."""
        return HiddenChain(self.net(c), self.hidden_net(c), self.weight, self.output_weight)


LAYERS: dict[str, type[Layer]] = {"factorised": Factorised, "darn": DARN, "nade": NADE}


class Chain(Distribution):
    """Binary units drawn one after another; log_prob has a term for each given those before it.

    Args:
        bias: log odds without what comes before, [..., units].
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, bias: Tensor) -> None:
        super().__init__(bias.shape, validate_args=False)
        self.bias = precise(bias)

    @abstractmethod
    def _log_odds(self, z: Tensor) -> Tensor:
        """Of every unit given those before it in `z` [..., units]."""

    @abstractmethod
    def _draw(self, z: Tensor) -> None:
        """Fills `z` [..., units] with a sample."""

    def log_prob(self, z: Tensor) -> Tensor:
        """log p of every unit given those before it, [..., units]."""
        log_odds = self._log_odds(z)
        return z * log_odds - softplus(log_odds)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Units one after another."""
        z = self.bias.new_zeros(self._extended_shape(sample_shape))
        self._draw(z)
        return z

    @property
    def mean(self) -> Tensor:
        """An estimate, by samples: fewer of them where there is an axis of samples already."""
        num = max(1, AVERAGED // self.bias.shape[:-2].numel())
        return self.sample(torch.Size([num])).mean(0)


class LinearChain(Chain):
    """That of a DARN; `weight` [units, units] counts below its diagonal."""

    def __init__(self, bias: Tensor, weight: Tensor) -> None:
        super().__init__(bias)
        self.weight = weight

    def _log_odds(self, z: Tensor) -> Tensor:
        return self.bias + z @ self.weight.tril(-1).t()

    def _draw(self, z: Tensor) -> None:
        bias = self.bias.expand_as(z)
        for i, row in enumerate(self.weight):
            z[..., i] = bernoulli(torch.sigmoid(bias[..., i] + z[..., :i] @ row[:i]))


class HiddenChain(Chain):
    """That of a NADE with its own hidden bias [..., width]; weights are [units, width]."""

    def __init__(self, bias: Tensor, hidden_bias: Tensor, weight: Tensor, output_weight: Tensor) -> None:
        super().__init__(bias)
        self.hidden_bias, self.weight, self.output_weight = hidden_bias, weight, output_weight

    def _log_odds(self, z: Tensor) -> Tensor:
        hidden_bias = self.hidden_bias.expand(*z.shape[:-1], -1).flatten(0, -2)
        found = products(z.flatten(0, -2), self.weight, self.output_weight, hidden_bias)
        return self.bias + found.reshape(z.shape)

    def _draw(self, z: Tensor) -> None:
        bias, a = self.bias.expand_as(z), self.hidden_bias.expand(*z.shape[:-1], -1).clone()
        for i, (w, v) in enumerate(zip(self.weight, self.output_weight, strict=True)):
            z[..., i] = bernoulli(torch.sigmoid(bias[..., i] + torch.sigmoid(a) @ v))
            a += z[..., i : i + 1] * w
