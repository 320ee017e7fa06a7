"""Critic network that distinguishes examples from samples, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from dgmrun.nn import convolution, mlp, progressive
from dgmrun.nn.context import ContextVector, beside
from dgmrun.protocols.values import Event

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp.encoder,
    "convolutional": convolution.encoder,
    "progressive": progressive.Encoder,
}


@dataclass(frozen=True)
class Critic:
    """Settings of the critic.

    Args:
        network: `mlp`; for images `convolutional`, or `progressive`, which grows with a model that does.
        hidden: number of units of each hidden layer, or of channels of the first convolution.
        depth: number of hidden layers, of convolutions, each of which halves height and width, or, of a progressive
            network, of convolutions at each resolution.
        activation: activation function of hidden layers: tanh, relu, leaky_relu, elu or softplus.
        noise: standard deviation of Gaussian noise added to all inputs (instance noise).
        rate: learning rate relative to that of the generator.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    network: str = "mlp"
    hidden: int = 240
    depth: int = 2
    activation: str = "leaky_relu"
    noise: float = 0.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        for key, known in (("network", NETWORKS), ("activation", mlp.ACTIVATIONS)):
            if (word := getattr(self, key)) not in [*known]:
                raise ValueError(f"`objective.critic.{key}` must be one of {', '.join(known)}, but is {word}")
        for key, least in (("hidden", 1), ("depth", 0), ("noise", 0)):
            if (value := getattr(self, key)) < least:
                raise ValueError(f"`objective.critic.{key}` must be at least {least}, but is {value}")
        if self.rate <= 0:
            raise ValueError(f"`objective.critic.rate` must be positive, but is {self.rate}")

    def net(self, event: Event, context: Event | None = None) -> nn.Module:
        """Makes a network from examples [batch, *event.shape], and their contexts if any, to outputs [batch, 1].

        Raises:
            ValueError: a setting does not suit the shape; the message names its key.
        """
        is_flat = self.network == "mlp"
        if context is None or not (is_flat or event.is_picture):
            return self._net(event.shape)
        vector = ContextVector(context)
        is_beside = not is_flat and vector.size == context.dims and context.shape[1:] == event.shape[1:]
        planes = context.shape if is_beside else (vector.size,)
        shape = (event.dims + vector.size,) if is_flat else (event.shape[0] + planes[0], *event.shape[1:])
        return Told(vector, self._net(shape), is_flat, planes)

    def _net(self, shape: Sequence[int]) -> nn.Module:
        try:
            return NETWORKS[self.network](shape, self.hidden, self.depth, 1, self.activation)
        except ValueError as error:
            raise ValueError(str(error).replace("`model.", "`objective.critic.")) from None


class Told(nn.Module):
    """A critic of examples beside their contexts.

    Mirza and Osindero (2014), Conditional generative adversarial nets, https://arxiv.org/abs/1411.1784, equation 2.

    Args:
        vector: maps contexts to vectors.
        net: network from both to outputs.
        is_flat: whether the vectors stand beside the dimensions of examples, rather than beside the channels of images.
        planes: (size,) of the vectors or, of contexts that are images of the same sides as examples, their shape.
    """

    def __init__(self, vector: ContextVector, net: nn.Module, is_flat: bool, planes: tuple[int, ...]) -> None:
        super().__init__()
        self.vector, self.net, self.is_flat, self.planes = vector, net, is_flat, planes

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Maps examples [batch, *event.shape] and their contexts to outputs [batch, 1]."""
        c = self.vector(context, x).unflatten(1, self.planes)
        output: Tensor = self.net(beside(x.flatten(1) if self.is_flat else x, c))
        return output
