r"""Sigmoid belief network: layers of binary units, each given the layer above, with an approximate posterior.

.. math:: p(x, z) = p(x \mid z_1)\, p(z_1 \mid z_2) \cdots p(z_L), \qquad
          q(z \mid x) = q(z_1 \mid x)\, q(z_2 \mid z_1) \cdots q(z_L \mid z_{L-1})

Inputs of the networks are binary units as -1 and 1, x minus its mean, and what both p and q are given, if anything.

References:
    Neal (1992), Connectionist learning of belief networks.
    Saul, Jaakkola and Jordan (1996), Mean field theory for sigmoid belief networks, https://arxiv.org/abs/cs/9603102.
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.latent import draws
from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.nn.binary import bernoulli, log_bernoulli, precise
from dgmrun.nn.binary_layers import LAYERS, Factorised
from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.mlp import ACTIVATIONS, Constant, mlp
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Batch, Event


class SBN(nn.Module):
    """A sigmoid belief network with one or several stochastic layers.

    Args:
        event: event of one example; it must be binary.
        hidden: units of each stochastic layer, the one next to x first.
        alpha: prior probability that a unit of the top layer is on; None to learn it.
        prior: distribution of the top layer: `factorised`, `darn` or `nade`.
        posterior: distribution q of each layer given the layer below: `factorised`, `darn` or `nade`.
        depth: number of deterministic hidden layers between stochastic ones; 0 for linear maps, as in the original.
        width: units of each deterministic layer, and hidden units of a `nade`.
        activation: activation of deterministic layers: tanh, relu, elu or softplus.
        context: event of the context c, if any, which is an additional input of every network, p(x, z | c), that of the
            prior included unless `alpha` is given; where networks are linear, it shifts the biases.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> sbn = SBN(Event((4,), "binary"), hidden=[3, 2])
        >>> sbn.trace(torch.ones(5, 4), draws.sampled(7)).log_w.shape
        torch.Size([7, 5])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "dreams": ("p(x = 1 | z)",),
        "reconstructions": ("p(x = 1 | z)",),
        "filters": ("weight to log-odds of x",),
    }
    mean: Tensor

    def __init__(
        self,
        event: Event,
        hidden: Sequence[int] = (200,),
        alpha: float | None = None,
        prior: str = "factorised",
        posterior: str = "factorised",
        depth: int = 0,
        width: int = 200,
        activation: str = "tanh",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        _check(event, hidden, alpha, prior)
        for key, value, known in (
            ("prior", prior, LAYERS),
            ("posterior", posterior, LAYERS),
            ("activation", activation, ACTIVATIONS),
        ):
            check_word(key, value, known)
        for key, size, least in (("depth", depth, 0), ("width", width, 1)):
            if size < least:
                raise ValueError(f"`model.{key}` must be at least {least}, but is {size}")
        self.event, self.context, self.hidden = event, context, list(hidden)
        self.vector, self.vector_of_q = ContextVector(context), ContextVector(context)

        def net(inputs: int) -> Callable[[int], nn.Module]:
            return lambda outputs: mlp([inputs + self.vector.size, *[width] * depth, outputs], activation)

        sizes = [event.dims, *hidden]
        self.encoders = nn.ModuleList([LAYERS[posterior](up, net(down), width) for down, up in pairwise(sizes)])
        self.decoders = nn.ModuleList([Factorised(down, net(up), width) for down, up in pairwise(sizes)])
        self.top = LAYERS[prior](hidden[-1], Constant if context is None or alpha is not None else net(0), width)
        if alpha is not None:
            bias = self.top.requires_grad_(False).get_parameter("net.value")
            nn.init.constant_(bias, math.log(alpha / (1 - alpha)))
        self.register_buffer("mean", torch.zeros(event.dims))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Centres the encoder's input, and sets the output biases so that p(x|z) has the clipped means of `x`."""
        self.mean.copy_(x.flatten(1).mean(0))
        self._last.bias.copy_(torch.logit(self.mean.clamp(0.001, 0.999)))

    @property
    def _last(self) -> nn.Linear:
        """The layer whose outputs are the logits of x."""
        *_, last = self.decoders[0].modules()
        assert isinstance(last, nn.Linear)
        return last

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: None = None) -> Trace:
        """Draws z of each layer and returns it with all distributions; see `Inference`."""
        c, c_of_q = self._told(context), self.vector_of_q(context, self.mean)
        q: list[Distribution] = []
        z: list[Tensor] = []
        below = x.flatten(1) - self.mean
        for layer, encoder in enumerate(self.encoders):
            q.append(encoder(beside(below, c_of_q)))
            z.append(draw(layer, q[-1]))
            below = _signs(z[-1])
        return Trace(z, q, self._generated(z, c), log_bernoulli(self._log_odds(z[0], c), x.flatten(1)))

    def _told(self, context: Tensor | None) -> Tensor | None:
        """The context as a vector that p is told, [batch, size], or None."""
        return self.vector(context, self.mean)

    def _generated(self, z: Sequence[Tensor], c: Tensor | None) -> list[Distribution]:
        """p of each layer given the layer above and c; the last is the prior."""
        given_above = [net(beside(_signs(above), c)) for net, above in zip(self.decoders[1:], z[1:], strict=True)]
        return [*given_above, self.top(c)]

    def _log_odds(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Log-odds of p(x | z_1, c) [samples, batch, D], given z_1 [samples, batch, units]."""
        log_odds: Tensor = self.decoders[0].get_submodule("net")(beside(_signs(z), c))
        return precise(log_odds)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Means of p(x | z_1) [samples, batch, *event.shape], given z_1 [samples, batch, units]."""
        return torch.sigmoid(self._log_odds(z, self._told(context))).unflatten(-1, self.event.shape)

    @torch.no_grad()
    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z of each layer [1, num, units], bottom first."""
        c = self._told(context)
        prior = self.top(c)
        z = [prior.sample((1,) if prior.batch_shape[:-1] else (1, num))]  # it may be the same for every context
        for decoder in reversed(self.decoders[1:]):
            z.insert(0, decoder(beside(_signs(z[0]), c)).sample())
        return bernoulli(self.decode(z[0], context))[0], z

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.dream(num, context)[0]

    def latent_bits(self) -> int:
        """Number of latent units: there are 2^bits states z."""
        return sum(self.hidden)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """For images: means of p(x|z), with z from the prior and from the posterior of each x, and output weights."""
        if not self.event.is_picture:
            return {}
        x, _, context = batch
        return {
            "dreams": self.decode(self.dream(len(x), context)[1][0], context)[0],
            "reconstructions": self.decode(self.trace(x, draws.sampled(1), context).z[0], context)[0],
            "filters": self._last.weight.t().unflatten(1, self.event.shape),
        }


def _signs(z: Tensor) -> Tensor:
    return 2 * z - 1


def _check(event: Event, hidden: Sequence[int], alpha: float | None, prior: str) -> None:
    event.require(("binary",), "a sigmoid belief network")
    is_list = isinstance(hidden, Sequence) and len(hidden) > 0
    if not is_list or not all(type(units) is int and units > 0 for units in hidden):
        raise ValueError(f"`model.hidden` must be a list of sizes, one for each stochastic layer, but is {hidden}")
    is_number = isinstance(alpha, int | float) and 0 < alpha < 1
    if alpha is not None and (not is_number or prior != "factorised"):
        raise ValueError(f"`model.alpha` must be between 0 and 1, of a factorised prior, or null, but is {alpha}")
