r"""Recurrent networks: plain, with gated recurrent units, or with long short-term memory.

References:
    Elman (1990), Finding structure in time: plain.
    Hochreiter and Schmidhuber (1997), Long short-term memory.
    Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio (2014), Learning phrase representations using
    RNN encoder-decoder for statistical machine translation, https://arxiv.org/abs/1406.1078: gated recurrent units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dgmrun.nn.causal_network import CausalNetwork, Step, owners
from dgmrun.nn.context import beside
from dgmrun.nn.settings import check_size, check_word

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
STEPS = {nn.RNN: "rnn_tanh_cell", nn.GRU: "gru_cell", nn.LSTM: "lstm_cell"}
"""One step of each, in torch."""


class Recurrent(CausalNetwork):
    """A recurrent network, whose features are the states of its last layer. It computes what the steps need alone.

    Args:
        inputs: number of inputs of a step.
        hidden: number of units of each layer.
        layers: number of layers.
        cell: key of CELLS.
        told: size of the vector y of a context, which is an input of every step.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, cell: str, told: int = 0) -> None:
        super().__init__(hidden)
        check_word("cell", cell, CELLS)
        check_size("hidden", hidden, 1)
        check_size("layers", layers, 1)
        self.net = CELLS[cell](inputs + told, hidden, layers)

    def forward(self, inputs: PackedSequence, y: Tensor | None = None) -> Tensor:
        """Features [steps, hidden], in full precision; see `CausalNetwork`."""
        seen = inputs.data if y is None else beside(inputs.data, y[owners(inputs)])
        seen = seen.to(self._like)
        if not seen.is_cuda and torch.is_grad_enabled():
            with self._in_full_precision(seen):
                return self._cells(seen, inputs.batch_sizes.tolist())
        cudnn = torch.backends.cudnn
        kept = {flag: getattr(cudnn, flag) for flag in ("benchmark", "deterministic", "allow_tf32")}
        # cuDNN has no gradient of a network in evaluation, by which a teacher is differentiated
        can = cudnn.enabled and (self.training or not torch.is_grad_enabled())
        with cudnn.flags(enabled=can, **kept), self._in_full_precision(seen):
            features: PackedSequence = self.net(inputs._replace(data=seen))[0]
        return features.data

    def _cells(self, seen: Tensor, sizes: list[int]) -> Tensor:
        """Features [steps, hidden], cell by cell, of steps as they are packed, so many at once.

        Gradients of torch's packed networks fill, on a CPU, zeros of the size of all steps for each of them (2.14.1):
        their time grows as the square of the length, and is more than half of that of a batch of 35 steps.
        """
        cell = getattr(torch, STEPS[type(self.net)])
        for weights in self.net.all_weights:
            state, found = None, list[Tensor]()
            for x in seen.split(sizes):
                state = self._start(x) if state is None else tuple(part[: len(x)] for part in state)
                h = cell(x, state if len(state) > 1 else state[0], *weights)
                state = h if isinstance(h, tuple) else (h,)
                found.append(state[0])
            seen = torch.cat(found)
        return seen

    def _start(self, x: Tensor) -> tuple[Tensor, ...]:
        zero = x.new_zeros(len(x), self.features)
        return (zero, zero) if isinstance(self.net, nn.LSTM) else (zero,)

    def cached(self, num: int, y: Tensor | None = None) -> Step:
        """Begins `num` sequences."""
        state = None

        def step(inputs: Tensor) -> Tensor:
            nonlocal state
            with self._in_full_precision(inputs):
                features, state = self.net(beside(inputs, y).to(self._like).unsqueeze(0), state)
            found: Tensor = features[0]
            return found

        return step

    @property
    def _like(self) -> Tensor:
        """A parameter, which has the data type of all."""
        return next(self.net.parameters())

    @staticmethod
    def _in_full_precision(x: Tensor) -> torch.autocast:
        """A context without autocast: errors would add up over steps, and a CPU has no LSTM in half precision."""
        return torch.autocast(x.device.type, enabled=False)
