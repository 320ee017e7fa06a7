"""Critic network that distinguishes examples from samples, and its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from dgmrun.nn import convolution, mlp

NETWORKS = {"mlp": mlp.encoder, "convolutional": convolution.encoder}


@dataclass(frozen=True)
class Critic:
    """Settings of the critic.

    Args:
        network: `mlp`, or `convolutional` for images.
        hidden: number of units of each hidden layer, or of channels of the first convolution.
        depth: number of hidden layers, or of convolutions, each of which halves height and width.
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

    def net(self, shape: Sequence[int]) -> nn.Module:
        """Makes a network from examples [batch, *shape] to outputs [batch, 1].

        Raises:
            ValueError: a setting does not suit the shape; the message names its key.
        """
        try:
            return NETWORKS[self.network](shape, self.hidden, self.depth, 1, self.activation)
        except ValueError as error:
            raise ValueError(str(error).replace("`model.", "`objective.critic.")) from None
