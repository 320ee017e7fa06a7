r"""Fully connected networks with masked weights: an output depends on the inputs with lower numbers than its own alone.

Every unit has a number m. A hidden unit sees the units of the layer below with numbers :math:`m' \le m`, an output
those with :math:`m' < m`: along any path from an input to an output numbers never fall, and at its end they rise.

References:
    Germain, Gregor, Murray and Larochelle (2015), MADE: masked autoencoder for distribution estimation,
    https://arxiv.org/abs/1502.03509, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from dgmrun.nn.mlp import ACTIVATIONS, linear


class MaskedMLP(nn.Module):
    """A network whose masks are chosen anew at each call, by the numbers of its units.

    Args:
        inputs: number of inputs.
        hidden: number of units of each hidden layer.
        outputs: number of outputs.
        activation: activation of hidden layers.
        direct: whether there are also weights from inputs to outputs, 0 at the start.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, activation: str, direct: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([linear(below, above) for below, above in pairwise([inputs, *hidden])])
        self.activation = ACTIVATIONS[activation]()
        self.output = linear(hidden[-1], outputs)
        self.direct = nn.Parameter(torch.zeros(outputs, inputs)) if direct else None

    def weights(self) -> list[Tensor]:
        """Weights of each layer, those from inputs to outputs last."""
        found = [layer.get_parameter("weight") for layer in (*self.layers, self.output)]
        return found if self.direct is None else [*found, self.direct]

    def masks(self, numbers: Sequence[Tensor]) -> list[Tensor]:
        """Which weights are left, 1, and which are not, 0: floats, whose products take a tenth of those of booleans.

        Args:
            numbers: numbers of the units of each layer, those of inputs first and of outputs last.
        """
        *below_output, mine = (each.unsqueeze(1) for each in numbers)
        found = [below.t() <= above for below, above in pairwise(below_output)]
        found += [below_output[-1].t() < mine, below_output[0].t() < mine]
        weights = self.weights()
        return [mask.to(weight.dtype) for mask, weight in zip(found, weights, strict=False)]

    def forward(self, x: Tensor, weights: Sequence[Tensor], of: slice = slice(None)) -> Tensor:
        """Outputs [batch, outputs].

        Args:
            x: inputs [batch, inputs].
            weights: `weights`, each times its mask.
            of: which outputs are wanted.
        """
        h, depth = x, len(self.layers)
        for layer, weight in zip(self.layers, weights[:depth], strict=True):
            h = self.activation(functional.linear(h, weight, layer.get_parameter("bias")))
        found = functional.linear(h, weights[depth][of], self.output.bias[of])
        return found if self.direct is None else found + functional.linear(x, weights[-1][of])


def hidden_numbers(hidden: Sequence[int], dims: int, least: int) -> Tensor:
    """Draws the numbers of all hidden units, layer after layer, uniformly from `least` to D - 1.

    Above the first layer they are drawn from the least of the layer below, so that every unit sees another.
    """
    found: list[Tensor] = []
    for units in hidden:
        found.append(torch.randint(least, max(dims, least + 1), (units,)))
        least = int(found[-1].min())
    return torch.cat(found)
