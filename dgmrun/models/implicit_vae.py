r"""Variational autoencoder whose posterior is a map from noise, z = f(x, epsilon), without a density.

.. math:: p(x, z) = p(x \mid z)\, N(z; 0, I), \qquad T(x, z) \approx \log q(z \mid x) - \log r(z \mid x)

T stands in for the density of q in the evidence lower bound. It is learned against r, which is the prior, or a Gaussian
with mean and variance of q (adaptive contrast), from which q differs less.

References:
    Mescheder, Nowozin and Geiger (2017), Adversarial variational Bayes, https://arxiv.org/abs/1701.04722.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from dgmrun.models.vae import NETWORKS, VAE
from dgmrun.nn.context import beside
from dgmrun.nn.gaussian import standard_normal
from dgmrun.nn.hmc import PosteriorPath
from dgmrun.nn.implicit import Implicit, RatioNet
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Batch, Event

CONTRASTS = ("adaptive", "prior")


class ImplicitVAE(nn.Module):
    """The decoder of a `VAE` with one stochastic layer, an implicit posterior, and a ratio net.

    It is scored by `likelihood.avb`, as far as T is right, and by `likelihood.ais`, which uses the decoder alone.

    Args:
        event: event of one example.
        latent: number of units of z.
        hidden: units of each hidden layer of decoder and encoder, as in `VAE`.
        depth: number of hidden layers of each network; with 0, q is Gaussian, and T has one.
        activation: activation of hidden layers: tanh, relu, elu or softplus.
        network: `mlp`, or `convolutional` between x and z.
        observation: as in `VAE`.
        scale: as in `VAE`.
        noise: number of units of the noise, at least `latent`.
        basis: number of functions of the noise that each unit of z is a combination of.
        contrast: `adaptive`, a Gaussian with mean and variance of q(z | x), or `prior`: what T compares q with.
        ratio_hidden: units of each hidden layer of T.
        context: event of the context c, if any, which is an additional input of every network.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> vae = ImplicitVAE(Event((4,), "binary"), latent=2, hidden=3, noise=2, basis=2, ratio_hidden=3)
        >>> vae.infer(torch.ones(5, 4), 7).shape
        torch.Size([7, 5, 2])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = VAE.captions

    def __init__(
        self,
        event: Event,
        latent: int = 8,
        hidden: int = 200,
        depth: int = 2,
        activation: str = "tanh",
        network: str = "mlp",
        observation: str | None = None,
        scale: float | str | None = None,
        noise: int = 32,
        basis: int = 16,
        contrast: str = "adaptive",
        ratio_hidden: int = 200,
        context: Event | None = None,
    ) -> None:
        super().__init__()
        check_word("contrast", contrast, CONTRASTS)
        for key, size in (("latent", latent), ("hidden", hidden), ("ratio_hidden", ratio_hidden)):
            check_size(key, size, 1)
        self.generator = VAE(
            event, [latent], [hidden], depth, activation, network, observation, scale, "local", context
        )
        self.event, self.context, self.is_adaptive = event, context, contrast == "adaptive"
        self.is_flat, c = network == "mlp", self.generator.vector.size
        seen = (event.dims + c,) if self.is_flat else (event.shape[0] + c, *event.shape[1:])
        encoder, outputs = NETWORKS[network].encoder, Implicit.outputs(latent, basis)
        a = encoder(seen, hidden, depth, outputs, activation)
        self.posterior = Implicit(a, latent, noise, basis, depth, activation)
        of_x = encoder(seen, ratio_hidden if self.is_flat else hidden, depth, ratio_hidden, activation)
        self.ratio = RatioNet(of_x, latent, ratio_hidden, depth, activation)

    def initialise(self, x: Tensor) -> None:
        """Initialises the decoder, as in `VAE`."""
        self.generator.initialise(x)

    def infer(self, x: Tensor, num: int, context: Tensor | None = None) -> Tensor:
        """Samples z of q(z | x), [num, batch, latent]; see `ImplicitPosterior`."""
        z: Tensor = self.posterior(self._seen(x, context), num)
        return z

    def contrasted(self, x: Tensor, num: int, context: Tensor | None = None) -> tuple[Tensor, Normal]:
        """Samples z of q(z | x), and r(z | x); see `Contrasted`."""
        if self.is_adaptive:
            return self.posterior.with_moments(self._seen(x, context), num)
        z = self.infer(x, num, context)
        return z, standard_normal(z)

    def log_contrast(self, x: Tensor, u: Tensor, context: Tensor | None = None) -> Tensor:
        """T [samples, batch], given z as u [samples, batch, latent] in units of r; see `Contrasted`."""
        t: Tensor = self.ratio(self._seen(x, context), u)
        return t

    def ratio_parameters(self) -> list[nn.Parameter]:
        """The parameters of T."""
        return list(self.ratio.parameters())

    def log_joint(self, x: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x, z) [samples, batch], given z [samples, batch, latent]."""
        path = self.posterior_path(x, context)
        return path.log_prior(z) + path.log_likelihood(z)

    def _seen(self, x: Tensor, context: Tensor | None) -> Tensor:
        """x, as the decoder's observation shows it, beside the context."""
        seen = self.generator.observation.seen(x)
        c = self.generator.vector(context, next(self.parameters()))
        return beside(seen.flatten(1) if self.is_flat else seen, c)

    def posterior_path(self, x: Tensor, context: Tensor | None = None) -> PosteriorPath:
        """Path from p(z) to p(z | x), which is of the decoder alone."""
        return self.generator.posterior_path(x, context)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x | z) [samples, batch, *event.shape], given z [samples, batch, latent]."""
        return self.generator.decode(z, context)

    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z [1, num, latent]."""
        return self.generator.dream(num, context)

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generator.sample(num, context)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Means of p(x | z) for images: with z from the prior, and with z drawn from q(z | x)."""
        shown = self.generator.pictures(batch)
        if shown:
            shown["reconstructions"] = self.decode(self.infer(batch.x, 1, batch.context), batch.context)[0]
        return shown
