r"""Wake-sleep algorithm.

.. math:: \nabla_\theta:\; E_{q(z|x)}[\nabla_\theta \log p_\theta(x, z)], \qquad
          \nabla_\phi:\; E_{p(x, z)}[\nabla_\phi \log q_\phi(z \mid x)]

The wake step follows the gradient of the ELBO in p. The sleep step follows the gradient of -KL(p(z|x) || q(z|x)) on
samples x of the model (dreams): it is biased for the gradient of the ELBO in q, but vanishes if q is the posterior.

References:
    Hinton, Dayan, Frey and Neal (1995), The wake-sleep algorithm for unsupervised neural networks.
"""

from __future__ import annotations

from torch import Tensor, nn

from dgmrun.latent.draws import sampled
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.values import Batch


class WakeSleep(Variational):
    """Trains p on samples of the posterior q, and q on samples of p (dreams).

    Args:
        model: a latent variable model with an amortised posterior.
        optimization: optimiser settings.
        k: number of samples of z for each example.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization, k)
        self.check_dreams()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the ELBO, in nats per example, with the wake and sleep gradients."""
        trace = self.trace(batch, sampled(self.k))
        bound = -trace.log_w.detach().mean()
        surrogate = self.sleep(batch) - sum(trace.log_p).mean()  # type: ignore[union-attr]
        return surrogate + (bound - surrogate).detach(), {"bound": bound}
