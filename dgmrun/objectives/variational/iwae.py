r"""Importance-weighted bound L_k.

.. math:: \mathcal{L} = -\frac{1}{B} \sum_b \log \frac{1}{k} \sum_{i=1}^k w_{bi}, \qquad
          w_i = \frac{p(x, z_i)}{q(z_i \mid x)}, \quad z_i \sim q(z \mid x)

As k grows, the signal-to-noise ratio of its gradient in the parameters phi of the posterior falls. That of the doubly
reparameterised gradient, which has the same expectation, does not:

.. math:: \sum_i \tilde w_i^2 \, \frac{\partial \log w_i}{\partial z_i} \frac{\partial z_i}{\partial \phi}, \qquad
          \tilde w_i = w_i / \textstyle\sum_j w_j

References:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519.
    Rainforth et al. (2018), Tighter variational bounds are not necessarily better, https://arxiv.org/abs/1802.04537.
    Tucker, Lawson, Gu and Maddison (2019), Doubly reparameterized gradient estimators for Monte Carlo objectives,
    https://arxiv.org/abs/1810.04152, equation 8.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.latent.bounds import iwae
from dgmrun.latent.draws import given, reparameterised
from dgmrun.latent.trace import Trace
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.players import frozen
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.models import Reparameterised
from dgmrun.protocols.values import Batch


class IWAE(Variational):
    """Maximises L_k, tighter than the ELBO, and a lower bound on the ELBO of q with importance resampling.

    Args:
        model: a latent variable model with reparameterisable layers.
        optimization: optimiser settings.
        k: number of samples of z for each example; the cost is proportional to it.
        doubly_reparameterised: whether the posterior is trained with the estimator of Tucker et al., at the cost of
            three decoder passes instead of one.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Reparameterised
    is_importance_weighted: ClassVar[bool] = True

    def __init__(
        self, model: nn.Module, optimization: Optimization, k: int = 5, doubly_reparameterised: bool = False
    ) -> None:
        super().__init__(model, optimization, k)
        self.doubly_reparameterised = doubly_reparameterised

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus L_k, in nats per example."""
        trace = self.trace(batch, reparameterised(self.k))
        log_w = trace.log_w
        bound = -iwae(log_w).mean()
        if not self.doubly_reparameterised:
            return bound, {"bound": bound.detach()}
        surrogate = self._surrogate(batch, trace, torch.softmax(log_w.detach(), 0))
        return surrogate + (bound - surrogate).detach(), {"bound": bound.detach()}

    def _surrogate(self, batch: Batch, trace: Trace, share: Tensor) -> Tensor:
        """Returns a loss with the gradient of Tucker et al.: through z only for q, and with z held fixed for p."""
        with frozen(self.parameters()):
            through_z = self.trace(batch, given(trace.z)).log_w
        of_p = sum(self.trace(batch, given([z.detach() for z in trace.z])).log_p)
        return -(share.square() * through_z + share * of_p).sum(0).mean()
