r"""Dilated causal convolutions with gated units, as of WaveNet.

.. math:: z_l = \tanh(W_l * h_l + V_l y) \odot \sigma(W'_l * h_l + V'_l y), \qquad h_{l+1} = h_l + R_l z_l

where W * h reads steps t, t - d_l, ..., t - (k - 1) d_l, and the dilations are d_l = 1, 2, 4, ..., again in each block.
Features are :math:`\mathrm{relu}(C\, \mathrm{relu}(\sum_l S_l z_l))`: each layer has a skip connection S_l.

References:
    van den Oord, Dieleman, Zen, Simonyan, Vinyals, Graves, Kalchbrenner, Senior and Kavukcuoglu (2016), WaveNet: a
    generative model for raw audio, https://arxiv.org/abs/1609.03499, equations 2 and 3, figure 4.
    Le Paine et al. (2016), Fast WaveNet generation algorithm, https://arxiv.org/abs/1611.09482: what is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import PackedSequence

from dgmrun.nn.causal_network import CausalNetwork, Step, packed, padded
from dgmrun.nn.settings import check_size

MOST = 16
"""Largest number of layers of a block, by which it reaches over 65,536 steps."""


class Dilated(CausalNetwork):
    """A stack of dilated causal convolutions: all steps at once, or one step by what earlier ones left.

    Args:
        inputs: number of inputs of a step.
        channels: number of features h of a step within the stack.
        blocks: number of blocks.
        layers: number of layers of each block, of dilations 1, 2, 4, ..., 2^(layers - 1).
        kernel: number of steps that a convolution reads.
        skip: number of features that skip connections add up, and of those of the last layer.
        told: size of the vector y of a context.

    Raises:
        ValueError: a size is too small; the message names its key.
    """

    def __init__(
        self, inputs: int, channels: int, blocks: int, layers: int, kernel: int, skip: int, told: int = 0
    ) -> None:
        super().__init__(skip)
        for key, size in (("channels", channels), ("blocks", blocks), ("layers", layers), ("skip", skip)):
            check_size(key, size, 1)
        check_size("kernel", kernel, 2)
        if layers > MOST:
            raise ValueError(f"`model.layers` must be at most {MOST}, of a block, but is {layers}")
        self.dilations = [2**layer for _ in range(blocks) for layer in range(layers)]
        self.kernel = kernel
        self.first = nn.Linear(inputs, channels)
        self.gates = nn.ModuleList([nn.Conv1d(channels, 2 * channels, kernel, dilation=d) for d in self.dilations])
        self.onward = nn.ModuleList([nn.Conv1d(channels, channels, 1) for _ in self.dilations[1:]])
        self.skips = nn.Linear(channels * len(self.dilations), skip)
        self.last = nn.Linear(skip, skip)
        self.told = nn.Linear(told, 2 * channels * len(self.dilations), bias=False) if told else None

    @property
    def reach(self) -> int:
        """Receptive field R = 1 + (k - 1) sum_l d_l: the number of steps whose inputs a feature depends on."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def forward(self, inputs: PackedSequence, y: Tensor | None = None) -> Tensor:
        """Features [steps, skip]; see `CausalNetwork`."""
        found = self.everywhere(padded(inputs.data, inputs), y)
        return packed(found, _lengths(inputs)).data

    def everywhere(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Features [batch, steps, skip] of sequences of equal length, given their inputs [batch, steps, inputs]."""
        h, found = self.first(x).transpose(1, 2), list[Tensor]()
        shifts = None if y is None else self._shift(y)
        for place, (gate, d) in enumerate(zip(self.gates, self.dilations, strict=True)):
            if place:
                h = h + self.onward[place - 1](found[-1])
            a = gate(pad(h, ((self.kernel - 1) * d, 0)))
            found.append(_unit(a if shifts is None else a + shifts[place].unsqueeze(-1)))
        z = torch.cat(found, 1)
        skips = torch.baddbmm(self.skips.bias[:, None], self.skips.weight.expand(len(z), -1, -1), z)
        features: Tensor = self.last(skips.relu().transpose(1, 2)).relu()
        return features

    def _shift(self, y: Tensor) -> tuple[Tensor, ...]:
        """V y of each layer, [batch, 2 channels]."""
        assert self.told is not None
        found: Tensor = self.told(y)
        return found.chunk(len(self.dilations), 1)

    def cached(self, num: int, y: Tensor | None = None) -> Step:
        """Begins `num` sequences: each layer keeps its last (k - 1) d inputs, and a step reads some of them."""
        shifts = [None] * len(self.dilations) if y is None else self._shift(y)
        gates = [CachedGate(*parts, num) for parts in zip(cast("list[nn.Conv1d]", self.gates), shifts, strict=True)]
        onward = [
            (part.weight[:, :, 0].t(), part.get_parameter("bias")) for part in cast("Iterable[nn.Conv1d]", self.onward)
        ]

        def step(inputs: Tensor) -> Tensor:
            h, found = self.first(inputs), list[Tensor]()
            for place, gate in enumerate(gates):
                if place:
                    weight, bias = onward[place - 1]
                    h = torch.addmm(h, found[-1], weight) + bias
                found.append(gate(h))
            features: Tensor = self.last(self.skips(torch.cat(found, 1)).relu()).relu()
            return features

        return step


class CachedGate:
    """A gated convolution at one step after another, which keeps the inputs that later steps read.

    Args:
        conv: the convolution.
        shift: V y of its context, if any.
        num: number of sequences.
    """

    def __init__(self, conv: nn.Conv1d, shift: Tensor | None, num: int) -> None:
        bias = conv.get_parameter("bias")
        self.bias = bias if shift is None else bias + shift
        self.weight = conv.weight.permute(2, 1, 0).flatten(0, 1)  # of the earliest step first
        (self.d,) = conv.dilation
        start = conv.weight.new_zeros(num, conv.in_channels)
        self.seen = deque([start] * ((conv.kernel_size[0] - 1) * self.d))

    def __call__(self, h: Tensor) -> Tensor:
        """z [num, channels] of the next step, given its h [num, channels]."""
        before = [self.seen[place] for place in range(0, len(self.seen), self.d)]
        self.seen.popleft()
        self.seen.append(h)
        value, gate = torch.addmm(self.bias, torch.cat((*before, h), 1), self.weight).chunk(2, 1)
        return value.tanh() * gate.sigmoid()


def _unit(a: Tensor) -> Tensor:
    """tanh(a) sigma(b) of pre-activations [batch, 2 channels, ...], as 2 sigma(2a) sigma(b) - sigma(b).

    On a CPU, torch takes seven times as long for a tanh as for a sigmoid.
    """
    value, gate = a.chunk(2, 1)
    gate = gate.sigmoid()
    return torch.addcmul(gate.neg(), (value + value).sigmoid(), gate, value=2.0)


def _lengths(of: PackedSequence) -> Tensor:
    """Length of each sequence, [batch]."""
    assert of.unsorted_indices is not None
    sizes = of.batch_sizes
    by_size = (sizes[:, None] > torch.arange(int(sizes[0]))).sum(0)
    return by_size[of.unsorted_indices.cpu()]
