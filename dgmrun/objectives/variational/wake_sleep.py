r"""The wake-sleep algorithm.

.. math:: \nabla_\theta:\; E_{q(z|x)}[\nabla_\theta \log p_\theta(x, z)], \qquad
          \nabla_\phi:\; E_{p(x, z)}[\nabla_\phi \log q_\phi(z \mid x)]

The wake step is the gradient of the ELBO in p. The sleep step is that of -KL(p(z|x) || q(z|x)) for dreams x: as the
ELBO's gradient in q it is biased, but it stands still where q is the posterior.

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
    """Trains p on samples of the posterior and q on dreams.

    Args:
        model: a latent variable model, with a net for its posterior.
        optimization: how parameters follow the gradient.
        k: samples of z for each example.

    Raises:
        ValueError: names the key.
    """

    def __init__(self, model: nn.Module, optimization: Optimization, k: int = 1) -> None:
        super().__init__(model, optimization, k)
        self.check_dreams()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the ELBO, in nats per example, with the gradient of wake and sleep."""
        trace = self.trace(batch, sampled(self.k))
        bound = -trace.log_w.detach().mean()
        surrogate = self.sleep(len(batch.x)) - sum(trace.log_p).mean()  # type: ignore[union-attr]
        return surrogate + (bound - surrogate).detach(), {"bound": bound}
