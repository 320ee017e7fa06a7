r"""Generator of a generative adversarial network: x = g(z), with z of independent units. It has no density.

Given a context c, such as a class, it is x = g(z, c).

References:
    Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville and Bengio (2014), Generative adversarial
    networks, https://arxiv.org/abs/1406.2661.
    Radford, Metz and Chintala (2016), Unsupervised representation learning with deep convolutional generative
    adversarial networks, https://arxiv.org/abs/1511.06434.
    Mirza and Osindero (2014), Conditional generative adversarial nets, https://arxiv.org/abs/1411.1784.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dgmrun.nn import convolution, mlp
from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.noisy import PRIORS, NoisyGenerator
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Batch, Event

NETWORKS = {"mlp": mlp.decoder, "convolutional": convolution.decoder}


class Generator(nn.Module):
    """An implicit model of real data, or of data in [0, 1].

    Args:
        event: event of one example; it must be real or unit.
        latent: number of units of z.
        prior: distribution of each unit of z: `uniform` on [-1, 1], or `normal`.
        network: `mlp`, or `convolutional` for images.
        hidden: units of each hidden layer of an MLP, or channels of the last hidden layer of a convolutional network.
        depth: number of hidden layers of an MLP, or of transposed convolutions, each of which doubles both sides.
        activation: activation of hidden layers: tanh, relu, leaky_relu, elu or softplus.
        context: event of the context c, if any, whose vector extends z.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> Generator(Event((2,), "real"), latent=3, hidden=16).sample(5).shape
        torch.Size([5, 2])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {"dreams": ("x",)}

    def __init__(
        self,
        event: Event,
        latent: int = 100,
        prior: str = "uniform",
        network: str = "mlp",
        hidden: int = 1200,
        depth: int = 2,
        activation: str = "relu",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("real", "unit"), "a generator")
        for key, word, known in (
            ("prior", prior, PRIORS),
            ("network", network, NETWORKS),
            ("activation", activation, mlp.ACTIVATIONS),
        ):
            check_word(key, word, known)
        for key, size, least in (("latent", latent, 1), ("hidden", hidden, 1), ("depth", depth, 0)):
            if size < least:
                raise ValueError(f"`model.{key}` must be at least {least}, but is {size}")
        self.event, self.latent, self.prior = event, latent, PRIORS[prior]
        self.context, self.vector = context, ContextVector(context)
        self.net = NETWORKS[network](event.shape, hidden, depth, latent + self.vector.size, activation)

    @torch.no_grad()
    def noise(self, num: int) -> Tensor:
        """Samples of z, [num, latent]."""
        like = next(self.parameters())
        return self.prior.draw(like.new_empty(num, self.latent))

    def generate(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Generates x [num, *event.shape] from z, differentiably."""
        x: Tensor = self.net(beside(noise, self.vector(context, noise)))
        return torch.sigmoid(x) if self.event.kind == "unit" else x

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.generate(self.noise(num), context)

    def smoothed(self, scale: float) -> NoisyGenerator:
        """The model x = g(z) + `scale` * N(0, I); see `Smoothed`."""
        return NoisyGenerator(self, self.prior, scale)

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """As many samples as there are examples, if these are images."""
        return {"dreams": self.sample(len(batch.x), batch.context)} if self.event.is_picture else {}
