"""MuProp: unbiased score-function gradient with a control variate from a Taylor expansion about the mean field.

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
    """Maximises the ELBO. The Taylor expansion is about the means of the layers above, computed layer by layer."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization, k)

    def estimate(self, batch: Batch, trace: Trace, layer: int, f: Tensor, noise: Noise) -> Tensor:
        """Returns the gradient of `muprop`."""
        return muprop(f, lambda z: self.signal(batch, trace, layer, z, draws.mean), noise.logits[layer], trace.z[layer])

    def tuning(self, estimates: Sequence[Tensor]) -> Tensor:
        """Returns 0: there are no parameters to train."""
        return estimates[0].new_zeros(())
