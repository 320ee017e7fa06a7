r"""RELAX: unbiased score-function gradient with a control variate from the concrete relaxation and a network r.

.. math:: c(\zeta) = f(\sigma(\zeta / \lambda)) + r(\zeta)

References:
    Grathwohl, Choi, Wu, Roeder and Duvenaud (2018), Backpropagation through the void: optimizing control variates for
    black-box gradient estimation, https://arxiv.org/abs/1711.00123.
"""

from __future__ import annotations

from torch import Tensor, nn

from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.relaxed import Relaxed


class RELAX(Relaxed):
    """Maximises the ELBO; lambda and the network r of each layer are trained to reduce the variance, see `Relaxed`.

    Args:
        model: as for `Relaxed`.
        optimization: as for `Relaxed`.
        k: as for `Relaxed`.
        temperature: as for `Relaxed`.
        network: number of hidden units of r.
    """

    def __init__(
        self, model: nn.Module, optimization: Optimization, k: int = 1, temperature: float = 0.5, network: int = 100
    ) -> None:
        super().__init__(model, optimization, k, temperature)
        if network < 1:
            raise ValueError(f"`objective.network` must be at least 1, but is {network}")
        self.nets = nn.ModuleList(
            [nn.Sequential(nn.Linear(size, network), nn.Tanh(), nn.Linear(network, 1)) for size in self.sizes]
        )

    def control(self, layer: int, zeta: Tensor, signal: Tensor) -> Tensor:
        """Returns f + r."""
        correction: Tensor = self.nets[layer](zeta).squeeze(-1)
        return signal + correction
