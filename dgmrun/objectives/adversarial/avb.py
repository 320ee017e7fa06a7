r"""Adversarial variational Bayes: the evidence lower bound of a posterior without a density.

.. math:: \max_{\theta, \phi} E_x E_q[\log p_\theta(x, z) - \log r(z \mid x) - T(x, z)], \qquad
          \max_T E_x E_q[\log \sigma(T(x, z))] + E_x E_r[\log \sigma(-T(x, z))]

where z of q is a function of noise, through which the first is differentiated. With r the prior, this is equation 3.7.
With r the Gaussian that has mean and variance of q (adaptive contrast), T has less to learn, and log r - log p(z) is
exact; the optimum is the same.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722, equations 3.3
    and 3.7, section 3.3 and algorithms 1 and 2.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from dgmrun.latent.contrast import in_units, terms
from dgmrun.objectives.adversarial.contrast import ContrastGame
from dgmrun.protocols.contrast import Contrasted
from dgmrun.protocols.values import Batch


class AVB(ContrastGame):
    """Maximises the bound, as far as T is right: where T lags behind, the bound is overstated.

    What T is contrasted with is a setting of the model, as it decides what T means. Each step costs two passes of the
    encoder, two of T (one of them with two samples of z), and one of the decoder.
    """

    requires: ClassVar[type] = Contrasted

    def ratios(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns T at a sample of q and at one of r for each example, [1, batch] both."""
        model: Any = self.model
        x, _, context = batch
        z, r = model.contrasted(x, 1, context)
        both = torch.cat((in_units(z, r), torch.randn_like(z)))
        of_q, of_r = model.log_contrast(x, both, context).split(1)
        return of_q, of_r

    def costs(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the bound by one sample of each example, and logs KL(q || r) as T has it."""
        found = terms(self.model, batch.x, 1, batch.context)
        return -found.elbo[0], {"log_contrast": found.log_contrast.mean().detach()}
