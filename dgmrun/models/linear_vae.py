r"""Linear variational autoencoder: probabilistic principal component analysis with an approximate posterior.

.. math:: p(z) = N(0, I), \quad p(x \mid z) = N(W z + \mu, \sigma^2 I), \quad
          q(z \mid x) = N(V (x - \mu), \mathrm{diag}(s^2))

so that :math:`p(x) = N(\mu, W W^\top + \sigma^2 I)` exactly. At the optimum, W spans the leading principal components,
:math:`\sigma^2` is the mean of the remaining eigenvalues of the covariance, and the diagonal q equals the posterior if
the columns of W are orthogonal.

References:
    Tipping and Bishop (1999), Probabilistic principal component analysis.
    Lucas, Tucker, Grosse and Norouzi (2019), Don't blame the ELBO!, https://arxiv.org/abs/1911.02469.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal, Normal

from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.nn.gaussian import normal, standard_normal
from dgmrun.nn.hmc import PosteriorPath
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Event

POSTERIORS = ("amortised", "local")


class LinearVAE(nn.Module):
    """A latent variable model with a closed-form log p(x), as ground truth for bounds and estimators.

    Args:
        event: event of one example; it must be real.
        latent: number of units of z.
        posterior: `amortised`, with V and s; or `local`, with a mean and a standard deviation for each example.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> vae = LinearVAE(Event((4,), "real"), latent=2)
        >>> vae.log_marginal(torch.ones(5, 4)).shape
        torch.Size([5])
    """

    def __init__(self, event: Event, latent: int = 1, posterior: str = "amortised") -> None:
        super().__init__()
        event.require(("real",), "a linear VAE")
        if latent < 1:
            raise ValueError(f"`model.latent` must be at least 1, but is {latent}")
        check_word("posterior", posterior, POSTERIORS)
        self.event, self.latent = event, latent
        self.weight = nn.Parameter(torch.randn(event.dims, latent) / event.dims**0.5)
        self.mean = nn.Parameter(torch.zeros(event.dims))
        self.log_scale = nn.Parameter(torch.zeros(()))
        if posterior == "amortised":
            self.posterior_weight = nn.Parameter(torch.randn(latent, event.dims) / event.dims**0.5)
            self.posterior_log_scale = nn.Parameter(torch.zeros(latent))
        self.is_local = posterior == "local"

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets mu to the mean of `x`, and sigma to the root mean square deviation from it over all entries."""
        self.mean.copy_(x.flatten(1).mean(0))
        self.log_scale.copy_((x.flatten(1) - self.mean).square().mean().sqrt().clamp(min=1e-6).log())

    def trace(self, x: Tensor, draw: Draw, context: None = None, local: Tensor | None = None) -> Trace:
        """Draws z and returns it with all distributions; see `Inference`."""
        q = normal(self.guess(x) if local is None else local)
        z = draw(0, q)
        return Trace([z], [q], [standard_normal(z)], self.log_likelihood(x, z))

    def guess(self, x: Tensor, context: None = None) -> Tensor:
        """Means and log standard deviations of q, [batch, 2 * latent]: by V and s, or those of the prior if local."""
        if self.is_local:
            return x.new_zeros(len(x), 2 * self.latent)
        mean = (x.flatten(1) - self.mean) @ self.posterior_weight.t()
        return torch.cat((mean, self.posterior_log_scale.expand_as(mean)), -1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) [samples, batch], given z [samples, batch, latent]."""
        return self._observed(z).log_prob(x.flatten(1)).sum(-1)

    def log_marginal(self, x: Tensor, context: None = None) -> Tensor:
        """log p(x) [batch], with z integrated out."""
        noise = (2 * self.log_scale).exp().expand(self.event.dims)
        return LowRankMultivariateNormal(self.mean, self.weight, noise, validate_args=False).log_prob(x.flatten(1))

    def decode(self, z: Tensor, context: None = None) -> Tensor:
        """Means of p(x|z) [samples, batch, *event.shape], given z [samples, batch, latent]."""
        return self._observed(z).mean.unflatten(-1, self.event.shape)

    @torch.no_grad()
    def dream(self, num: int, context: None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z [1, num, latent]."""
        z = self._prior(1, num)
        return self._observed(z).sample()[0].reshape(num, *self.event.shape), [z]

    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.dream(num)[0]

    def posterior_path(self, x: Tensor, context: None = None) -> PosteriorPath:
        """Path from p(z) to p(z|x)."""
        return PosteriorPath(
            lambda z: standard_normal(z).log_prob(z).sum(-1),
            lambda z: self.log_likelihood(x, z),
            lambda num: self._prior(num, len(x)),
        )

    def _observed(self, z: Tensor) -> Normal:
        return Normal(z @ self.weight.t() + self.mean, self.log_scale.exp(), validate_args=False)

    @torch.no_grad()
    def _prior(self, chains: int, num: int) -> Tensor:
        return self.weight.new_empty(chains, num, self.latent).normal_()
