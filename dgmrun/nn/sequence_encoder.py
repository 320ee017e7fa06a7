"""Encoders of strings of symbols as vectors: convolutional, or recurrent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dgmrun.nn.causal_network import packed, padded
from dgmrun.nn.recurrent import Recurrent

KERNEL, LAYERS = 3, 3
"""Steps that a convolution reads, and number of convolutions."""


class SequenceEncoder(nn.Module, ABC):
    """Maps strings to vectors.

    Args:
        symbols: number of symbols, of which 0 is padding.
        steps: number of places of a string.
        hidden: number of features of a step, and of units of the layer above them.
        embedding: size of the learned vector of a symbol.
        outputs: size of the vector of a string.
    """

    def __init__(self, symbols: int, steps: int, hidden: int, embedding: int, outputs: int) -> None:
        super().__init__()
        self.units = nn.Embedding(symbols, embedding)

    @abstractmethod
    def forward(self, s: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [batch, outputs] of strings s [batch, steps], of which as many symbols count as `lengths` says."""


class ConvolutionalEncoder(SequenceEncoder):
    """Convolutions over all places, and a layer above all their features.

    Gomez-Bombarelli et al. (2018), Automatic chemical design using a data-driven continuous representation of
    molecules, https://arxiv.org/abs/1610.02415, with as many features in each layer.
    """

    def __init__(self, symbols: int, steps: int, hidden: int, embedding: int, outputs: int) -> None:
        super().__init__(symbols, steps, hidden, embedding, outputs)
        layers: list[nn.Module] = []
        for channels in (embedding, *[hidden] * (LAYERS - 1)):
            layers += [nn.Conv1d(channels, hidden, KERNEL, padding="same"), nn.ReLU()]
        above = (nn.Flatten(), nn.Linear(hidden * steps, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.net = nn.Sequential(*layers, *above)

    def forward(self, s: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [batch, outputs]; see `SequenceEncoder`."""
        found: Tensor = self.net(self.units(s).transpose(1, 2))
        return found


class RecurrentEncoder(SequenceEncoder):
    """The state of gated recurrent units that have read a string.

    Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio (2016), Generating sentences from a continuous space,
    https://arxiv.org/abs/1511.06349, figure 1.
    """

    def __init__(self, symbols: int, steps: int, hidden: int, embedding: int, outputs: int) -> None:
        super().__init__(symbols, steps, hidden, embedding, outputs)
        self.reader = Recurrent(embedding, hidden, 1, "gru")
        self.head = nn.Linear(hidden, outputs)

    def forward(self, s: Tensor, lengths: Tensor) -> Tensor:
        """Vectors [batch, outputs]; see `SequenceEncoder`."""
        inputs = packed(self.units(s), lengths)
        states = padded(self.reader(inputs), inputs)
        read: Tensor = self.head(states[torch.arange(len(s), device=s.device), lengths - 1])
        return read


ENCODERS: dict[str, Callable[[int, int, int, int, int], SequenceEncoder]] = {
    "convolutional": ConvolutionalEncoder,
    "recurrent": RecurrentEncoder,
}
