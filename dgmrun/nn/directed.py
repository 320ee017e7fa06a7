"""Directed layer of binary units, as of a deep belief network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn.binary import PUBLISHED


class Directed(nn.Module):
    """Two layers of binary units, with weights W down and R up: a Boltzmann machine whose weights are untied.

    Args:
        down: number of units D of the lower layer.
        up: number of units H of the upper layer.
        weight_std: standard deviation of the initial weights, which are the same both ways.
    """

    aliases: ClassVar[dict[str, str]] = PUBLISHED
    copies: ClassVar[dict[str, str]] = {"recognition_weight": "weight"}
    """Parameters that the machine from which the layer starts has only once."""

    def __init__(self, down: int, up: int, weight_std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_std * torch.randn(down, up))
        self.recognition_weight = nn.Parameter(self.weight.detach().clone())
        self.visible_bias = nn.Parameter(torch.zeros(down))
        self.hidden_bias = nn.Parameter(torch.zeros(up))

    def up(self, v: Tensor) -> Tensor:
        """Logits of q(h | v) [..., H], given v [..., D]."""
        return v @ self.recognition_weight + self.hidden_bias

    def down(self, h: Tensor) -> Tensor:
        """Logits of p(v | h) [..., D], given h [..., H]."""
        return h @ self.weight.t() + self.visible_bias
