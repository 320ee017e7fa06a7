r"""Evidence lower bound of a posterior without a density, by the ratio of its density to a known Gaussian.

.. math:: \mathcal{L} = E_q[\log p(x, z) - \log q(z \mid x)]
          = E_q[\log p(x, z) - \log r(z \mid x) - T^*(x, z)], \qquad
          T^*(x, z) = \log q(z \mid x) - \log r(z \mid x)

for any r. T* maximises :math:`E_q[\log \sigma(T)] + E_r[\log \sigma(-T)]`. At fixed z, the gradient of log q in its
parameters has the expectation 0 under q: z alone needs to be differentiated, and r and T are constants.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722, equations 3.3
    to 3.7, propositions 1 and 2, and section 3.3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import softplus


class Terms(NamedTuple):
    """Terms of the bound at samples of q, in nats, [samples, batch].

    Args:
        log_joint: log p(x, z).
        log_r: log r(z | x).
        log_contrast: T, which stands for log q(z | x) - log r(z | x).
    """

    log_joint: Tensor
    log_r: Tensor
    log_contrast: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound, as far as T is T*, [samples, batch]."""
        return self.log_joint - self.log_r - self.log_contrast


def terms(model: Any, x: Tensor, num: int, context: Tensor | None = None) -> Terms:
    """Returns the terms at `num` samples of each example, of a `Contrasted` model."""
    z, r = model.contrasted(x, num, context)
    log_contrast = model.log_contrast(x, in_units(z, r), context)
    return Terms(model.log_joint(x, z, context), r.log_prob(z).sum(-1), log_contrast)


def in_units(z: Tensor, r: Normal) -> Tensor:
    """Returns (z - mean) / deviation of r, by which T is told z: ratios of densities are the same in any units."""
    return (z - r.mean) / r.stddev


def logistic_loss(t_q: Float[Tensor, "..."], t_r: Float[Tensor, "..."]) -> Tensor:
    """Returns -E_q[log sigma(T)] - E_r[log sigma(-T)], a scalar that is least at T*, from T at samples of q and r."""
    return softplus(-t_q).mean() + softplus(t_r).mean()
