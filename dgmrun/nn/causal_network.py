"""Causal networks along sequences, whose features of a step depend on the inputs of steps up to it alone.

Sequences of a batch have lengths of their own and are packed, as torch packs them: what is computed follows the steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

Step = Callable[[Tensor], Tensor]
"""Features [num, features] of the next step, given its inputs [num, inputs]."""


class CausalNetwork(nn.Module, ABC):
    """Maps inputs of all steps to features of all steps, or one step after another.

    Args:
        features: number of features of a step.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    @abstractmethod
    def forward(self, inputs: PackedSequence, y: Tensor | None = None) -> Tensor:
        """Features [steps, features] of steps, in the order of the inputs.

        Args:
            inputs: inputs [steps, inputs] of the steps of all sequences.
            y: vectors of contexts [batch, size], if any.
        """

    @abstractmethod
    def cached(self, num: int, y: Tensor | None = None) -> Step:
        """Begins `num` sequences; what earlier steps contribute to later ones is kept."""


def packed(x: Tensor, lengths: Tensor) -> PackedSequence:
    """Packs the first steps of sequences x [batch, steps, ...], as many as `lengths` [batch] says."""
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def padded(values: Tensor, like: PackedSequence) -> Tensor:
    """Returns values of packed steps as [batch, longest, ...], 0 beyond the end of each sequence."""
    found: Tensor = pad_packed_sequence(like._replace(data=values), batch_first=True)[0]
    return found


def owners(of: PackedSequence) -> Tensor:
    """Returns the sequence to which each packed step belongs, [steps]."""
    assert of.sorted_indices is not None
    return torch.cat([of.sorted_indices[:size] for size in of.batch_sizes.tolist()])
