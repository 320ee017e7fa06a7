r"""Variational autoencoder: a deep latent Gaussian model with an approximate posterior.

.. math:: p(x, z) = p(x \mid z_1)\, p(z_1 \mid z_2) \cdots p(z_L), \qquad
          q(z \mid x) = q(z_1 \mid x)\, q(z_2 \mid z_1) \cdots q(z_L \mid z_{L-1})

with :math:`p(z_L) = N(0, 1)`. Every other factor over z is a diagonal Gaussian whose mean and log standard deviation
are the output of a network.

References:
    Kingma and Welling (2014), Auto-encoding variational Bayes, https://arxiv.org/abs/1312.6114.
    Rezende, Mohamed and Wierstra (2014), Stochastic backpropagation, https://arxiv.org/abs/1401.4082.
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, https://arxiv.org/abs/1509.00519,
    section 5: the nets of one and two layers.
    Hoffman, Blei, Wang and Paisley (2013), Stochastic variational inference: local posteriors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.latent import draws
from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.nn import convolution
from dgmrun.nn import mlp as fully_connected
from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.gaussian import normal, standard_normal
from dgmrun.nn.hmc import PosteriorPath
from dgmrun.nn.mlp import ACTIVATIONS, mlp
from dgmrun.nn.observation import observation as observed
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Batch, Event

NETWORKS = {"mlp": fully_connected, "convolutional": convolution}
POSTERIORS = ("amortised", "local")


class VAE(nn.Module):
    """A VAE with one or several stochastic layers.

    Args:
        event: event of one example.
        latent: units of each stochastic layer, the one next to x first.
        hidden: units of the hidden layers in the networks below each stochastic layer; for convolutional networks, the
            channels of the layer next to the image, which double from layer to layer.
        depth: number of hidden layers of each network.
        activation: activation of hidden layers: tanh, relu, elu or softplus.
        network: `mlp`, or `convolutional` between x and z_1.
        observation: `bernoulli`, `gaussian` or `discretised_logistic`; None for the one that suits the event.
        scale: scale of a Gaussian or logistic observation: a number, `learned` (one for all dimensions) or `per_pixel`.
        posterior: `amortised`, by encoders; or `local`, with a mean and a standard deviation of every unit for each
            example, which the objective stores for training examples and evaluation fits to others.
        context: event of the context c, if any, which is an additional input of every network: p(x, z | c), with
            p(z_L) = N(0, 1) for every c.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> vae = VAE(Event((4,), "binary"), latent=[2], hidden=[3])
        >>> vae.trace(torch.ones(5, 4), draws.reparameterised(7)).log_w.shape
        torch.Size([7, 5])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "dreams": ("mean of p(x | z)",),
        "reconstructions": ("mean of p(x | z)",),
    }

    def __init__(
        self,
        event: Event,
        latent: Sequence[int] = (50,),
        hidden: Sequence[int] = (200,),
        depth: int = 2,
        activation: str = "tanh",
        network: str = "mlp",
        observation: str | None = None,
        scale: float | str | None = None,
        posterior: str = "amortised",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(latent, hidden, depth)
        for key, value, known in (
            ("activation", activation, ACTIVATIONS),
            ("network", network, NETWORKS),
            ("posterior", posterior, POSTERIORS),
        ):
            check_word(key, value, known)
        self.event, self.context, self.latent = event, context, list(latent)
        self.observation, self.vector = observed(event, observation, scale), ContextVector(context)
        if not event.shape:
            raise ValueError("`dataset.event.shape` must have an axis for a VAE, but is []")
        shape = (self.observation.outputs * event.shape[0], *event.shape[1:])
        net, width, c = NETWORKS[network], hidden[0], self.vector.size
        self.is_flat = network == "mlp"
        seen = (event.dims + c,) if self.is_flat else (event.shape[0] + c, *event.shape[1:])
        self.decoders = nn.ModuleList([net.decoder(shape, width, depth, latent[0] + c, activation)])
        self.encoders = nn.ModuleList([net.encoder(seen, width, depth, 2 * latent[0], activation)])
        for (below, above), units in zip(pairwise(latent), hidden[1:], strict=True):
            self.decoders.append(mlp([above + c, *[units] * depth, 2 * below], activation))
            self.encoders.append(mlp([below + c, *[units] * depth, 2 * above], activation))
        self.is_local = posterior == "local"
        if self.is_local:
            self.encoders = nn.ModuleList()

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the decoder's output biases and the scale so that p(x|z) matches the mean and deviation of `x`."""
        start = self.observation.start(x)
        bias = [bias for name, bias in self.decoders[0].named_parameters() if name.endswith("bias")][-1]
        each = start if len(bias) >= start.numel() else start.mean((1, 2))  # a convolution has one bias per channel
        bias[: each.numel()] = each.flatten()
        bias[each.numel() :] = self.observation.start_scale(x)
        if self.observation.raw_scale is not None:
            self.observation.raw_scale.copy_(self.observation.start_scale(x))

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: Tensor | None = None) -> Trace:
        """Draws z of each layer and returns it with all distributions; see `Inference`."""
        c = self._told(context)
        q: list[Distribution] = []
        z: list[Tensor] = []
        given = () if local is None else local.split([2 * units for units in self._fitted], -1)
        for layer in range(len(self.latent)):
            below = z[-1] if z else self._seen(x)
            q.append(normal(given[layer] if layer < len(given) else self._inferred(layer, below, c)))
            z.append(draw(layer, q[-1]))
        return Trace(z, q, self._generated(z, c), self._log_likelihood(x, z[0], c))

    def _seen(self, x: Tensor) -> Tensor:
        """x in the form that the first encoder takes."""
        seen = self.observation.seen(x)
        return seen.flatten(1) if self.is_flat else seen

    def _inferred(self, layer: int, below: Tensor, c: Tensor | None) -> Tensor:
        """Parameters of q of a layer, given the layer below and c."""
        parameters: Tensor = self.encoders[layer](beside(below, c))
        return parameters

    @property
    def _fitted(self) -> list[int]:
        """Units of the layers that a local posterior covers: all if there are no encoders, else only the first."""
        return self.latent if self.is_local else self.latent[:1]

    def guess(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Initial means and log standard deviations of local posteriors, [batch, 2 * units].

        They are the encoder's, for the first layer; without encoders, those of N(0, 1), for all layers.
        """
        if self.is_local:
            return x.new_zeros(len(x), 2 * sum(self._fitted))
        return self._inferred(0, self._seen(x), self._told(context))

    def _generated(self, z: Sequence[Tensor], c: Tensor | None) -> list[Distribution]:
        """p of each layer given the layer above and c; the last is the prior."""
        given_above = [normal(net(beside(above, c))) for net, above in zip(self.decoders[1:], z[1:], strict=True)]
        return [*given_above, standard_normal(z[-1])]

    def _outputs(self, z: Tensor, c: Tensor | None) -> Tensor:
        outputs: Tensor = self.decoders[0](beside(z, c).flatten(0, 1))
        return outputs.unflatten(0, z.shape[:2])

    def _log_likelihood(self, x: Tensor, z: Tensor, c: Tensor | None) -> Tensor:
        """log p(x | z_1, c) [samples, batch], given z_1 [samples, batch, units]."""
        return self.observation.log_prob(self._outputs(z, c), x)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x | z_1) [samples, batch, *event.shape], given z_1 [samples, batch, units]."""
        return self.observation(self._outputs(z, self._told(context))).mean

    @torch.no_grad()
    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z of each layer [1, num, units], bottom first."""
        c = self._told(context)
        z = self._prior(1, num, c)
        return self.observation(self._outputs(z[0], c)).sample()[0], z

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.dream(num, context)[0]

    def _told(self, context: Tensor | None) -> Tensor | None:
        """The context as a vector, [batch, size], or None."""
        return self.vector(context, next(self.parameters()))

    @torch.no_grad()
    def _prior(self, chains: int, num: int, c: Tensor | None) -> list[Tensor]:
        """Ancestral samples of z of each layer, [chains, num, units]."""
        z = [next(self.parameters()).new_empty(chains, num, self.latent[-1]).normal_()]
        for net in reversed(self.decoders[1:]):
            z.insert(0, normal(net(beside(z[0], c))).sample())
        return z

    def posterior_path(self, x: Tensor, context: Tensor | None = None) -> PosteriorPath:
        """Path from p(z) to p(z|x); a state [chains, batch, units] concatenates the layers."""
        c = self._told(context)

        def log_prior(z: Tensor) -> Tensor:
            layers = z.split(self.latent, -1)
            each = [p.log_prob(layer).sum(-1) for p, layer in zip(self._generated(layers, c), layers, strict=True)]
            return sum(each)  # type: ignore[return-value]

        return PosteriorPath(
            log_prior,
            lambda z: self._log_likelihood(x, z[..., : self.latent[0]], c),
            lambda num: torch.cat(self._prior(num, len(x), c), -1),
        )

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Means of p(x|z) for images: with z from the prior and, given encoders, at the posterior mean of each x."""
        if not self.event.is_picture:
            return {}
        x, _, context = batch
        shown = {"dreams": self.decode(self._prior(1, len(x), self._told(context))[0], context)[0]}
        if not self.is_local:
            shown["reconstructions"] = self.decode(self.trace(x, draws.mean, context).z[0], context)[0]
        return shown


def _check_sizes(latent: Sequence[int], hidden: Sequence[int], depth: int) -> None:
    for key, sizes in (("latent", latent), ("hidden", hidden)):
        is_list = isinstance(sizes, Sequence) and len(sizes) > 0
        if not is_list or not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"`model.{key}` must be a list of sizes, one for each stochastic layer, but is {sizes}")
    if len(latent) != len(hidden):
        raise ValueError(f"`model.hidden` must have {len(latent)} sizes, as `model.latent` has, but has {len(hidden)}")
    if depth < 0:
        raise ValueError(f"`model.depth` must not be negative, but is {depth}")
