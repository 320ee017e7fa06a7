"""MuProp: the score function corrected by a Taylor expansion about the mean field; unbiased.

References:
    Gu, Levine, Sutskever and Mnih (2016), MuProp: unbiased backpropagation for stochastic neural networks,
    https://arxiv.org/abs/1511.05176.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dgmrun.gradients.control_variates import muprop
from dgmrun.latent import draws
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.layerwise import Layerwise, Noise
from dgmrun.protocols.values import Batch


class MuProp(Layerwise):
    """The layers above are at their means, layer after layer."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization, k)

    def estimate(self, batch: Batch, trace: Trace, layer: int, f: Tensor, noise: Noise) -> Tensor:
        """See `muprop`."""
        return muprop(f, lambda z: self.signal(batch, trace, layer, z, draws.mean), noise.logits[layer], trace.z[layer])

    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """0: there is nothing to tune."""
        return estimates[0].new_zeros(())
