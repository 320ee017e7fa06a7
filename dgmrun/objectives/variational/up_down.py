r"""Up-down algorithm: contrastive wake-sleep, for directed layers under an unnormalised top.

.. math:: \nabla_\theta:\; E_{q(z \mid x)}\Big[\nabla_\theta \log p_\theta(x, z_{<L} \mid z_L)
          + \nabla_\theta \log f_\theta(z_L) - E_{z'_L}[\nabla_\theta \log f_\theta(z'_L)]\Big], \qquad
          \nabla_\phi:\; E_{p(x', z'_{<L} \mid z'_L)}[\nabla_\phi \log q_\phi(z' \mid x')]

where z_L are the visible units of the top, :math:`z'_L` is k Gibbs steps of the top from z_L, and (x', z') descends
from :math:`z'_L`. The up-pass trains what generates, as in wake-sleep; the top learns by contrastive divergence; the
down-pass, which starts where its chain ended, trains what recognises.

References:
    Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets, section 5 and appendix B.
    Hinton, Dayan, Frey and Neal (1995), The wake-sleep algorithm for unsupervised neural networks.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from dgmrun.latent.draws import given, sampled
from dgmrun.objectives.base import Objective, Optimization
from dgmrun.objectives.contrastive.contrast import contrast
from dgmrun.protocols.models import Inference, Topped
from dgmrun.protocols.values import Batch


@runtime_checkable
class ToppedInference(Inference, Topped, Protocol):
    """A latent variable model with an unnormalised top layer and a posterior."""


class UpDown(Objective):
    """Fine-tunes a stack that was trained layer by layer, with small learning rates: its loss is no bound.

    Args:
        model: a latent variable model with an unnormalised top, such as a deep belief network.
        optimization: optimiser settings.
        k: number of Gibbs steps of the top, at least 1; Hinton et al. raise it from 3 to 10.

    Raises:
        ValueError: `k` is below 1.
    """

    requires: ClassVar[type] = ToppedInference
    takes_bfloat16: ClassVar[bool] = False

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 3) -> None:
        super().__init__(model, optimization)
        if k < 1:
            raise ValueError(f"`objective.k` must be at least 1, but is {k}")
        self.k = k

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns a surrogate whose gradients are those of the three parts, and these parts in nats per example."""
        model: Any = self.model
        trace = model.trace(batch.x, sampled(1))
        density, _ = model.top(batch.x[:1])
        z = trace.z[-1][0]
        state = density.walk(z, self.k)
        x, layers = model.descend(state)
        wake = -sum(trace.log_p[:-1]).mean()
        top = contrast(density, z, state)
        sleep = -sum(model.trace(x, given(layers)).log_q).mean()
        return wake + top + sleep, {"wake": wake.detach(), "contrast": top.detach(), "sleep": sleep.detach()}
