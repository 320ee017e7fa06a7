r"""REBAR: unbiased score-function gradient with a control variate from the concrete relaxation.

.. math:: c(\zeta) = \eta\, f(\sigma(\zeta / \lambda))

References:
    Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein (2017), REBAR: low-variance, unbiased gradient estimates for
    discrete latent variable models, https://arxiv.org/abs/1703.07370.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.relaxed import Relaxed


class REBAR(Relaxed):
    """Maximises the ELBO; eta and lambda of each layer are trained to reduce the variance, see `Relaxed`."""

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1, temperature: float = 0.5) -> None:
        super().__init__(model, optimization, k, temperature)
        self.eta = nn.Parameter(torch.ones(len(self.sizes)))

    def control(self, layer: int, zeta: Tensor, signal: Tensor) -> Tensor:
        """Returns eta f."""
        return self.eta[layer] * signal
