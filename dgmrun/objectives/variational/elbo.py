r"""Evidence lower bound (ELBO), by the reparameterisation trick.

.. math:: \mathcal{L} = -\frac{1}{B} \sum_b E_q[\log p(x_b \mid z)]
          + \beta \sum_j \max\Big(\lambda, \frac{1}{B} \sum_b \mathrm{KL}_j(x_b)\Big)

with the sum over the units j of all layers. For beta = 1 and lambda = 0, this is minus the ELBO.

References:
    Kingma and Welling (2014), Auto-encoding variational Bayes, https://arxiv.org/abs/1312.6114, equation 10.
    Sonderby, Raiko, Maaloe, Sonderby and Winther (2016), Ladder variational autoencoders,
    https://arxiv.org/abs/1602.02282, section 2.2: warm-up.
    Kingma, Salimans, Jozefowicz, Chen, Sutskever and Welling (2016), Improving variational inference with inverse
    autoregressive flow, https://arxiv.org/abs/1606.04934, appendix C.8: free bits.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.latent.bounds import divergences
from dgmrun.latent.draws import reparameterised
from dgmrun.objectives.base import Optimization
from dgmrun.objectives.variational.base import Variational
from dgmrun.protocols.models import Reparameterised
from dgmrun.protocols.values import Batch

COLLAPSED = 0.01
"""KL divergence in nats per example, summed over units, below which z is taken to say nothing about x."""


class ELBO(Variational):
    """Maximises a lower bound on log p(x), tight if q(z|x) is the exact posterior.

    Args:
        model: a latent variable model with reparameterisable layers.
        optimization: optimiser settings.
        k: number of samples of z for each example; the bound is averaged over them.
        warm_up: number of steps over which beta grows from 0 to 1; 0 for none.
        free_bits: lambda, the KL divergence of each unit that is not penalised, in nats.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    requires: ClassVar[type] = Reparameterised
    beta: Tensor

    def __init__(
        self, model: nn.Module, optimization: Optimization, k: int = 1, warm_up: int = 0, free_bits: float = 0.0
    ) -> None:
        super().__init__(model, optimization, k)
        for key, value in (("warm_up", warm_up), ("free_bits", free_bits)):
            if value < 0:
                raise ValueError(f"`objective.{key}` must not be negative, but is {value}")
        self.warm_up, self.free_bits = warm_up, free_bits
        self.register_buffer("beta", torch.ones(()), persistent=False)
        self.kl: Tensor | None = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Sets beta for this step."""
        self.beta.fill_(min(1.0, (self.iteration + 1) / max(1, self.warm_up)))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss, and logs the bound without warm-up and free bits, both in nats per example."""
        trace = self.trace(batch, reparameterised(self.k))
        log_px = trace.log_px.mean()
        kl = [layer.mean((0, 1)) for layer in divergences(trace)]
        total = torch.stack([layer.sum() for layer in kl]).sum()
        charged = sum(layer.clamp(min=self.free_bits).sum() for layer in kl) if self.free_bits else total
        self.kl = total.detach()
        terms = {f"kl_{layer}": each.sum().detach() for layer, each in enumerate(kl, 1)}
        return self.beta * charged - log_px, {"bound": (total - log_px).detach(), **terms}

    def doubts(self) -> list[str]:
        """Returns a warning if the posterior of the last batch is the prior, so that z says nothing about x."""
        if self.kl is None or not self.kl < COLLAPSED:
            return []
        return [
            f"the posterior is the prior, up to {float(self.kl):.2g} nats: the model does not use z; unless the data "
            "have no structure, lower optimizer.lr, or give objective.warm_up or objective.free_bits"
        ]
