"""The net that tells examples from samples, and how it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from dgmrun.nn import convolution, mlp

NETWORKS = {"mlp": mlp.encoder, "convolutional": convolution.encoder}


@dataclass(frozen=True)
class Critic:
    """Its settings.

    Args:
        network: `mlp`, or `convolutional` for pictures.
        hidden: units of each of its hidden layers, or channels of its first convolution.
        depth: its hidden layers, or its convolutions, each of which halves the sides.
        activation: of hidden layers: tanh, relu, leaky_relu, elu or softplus.
        noise: standard deviation of Gaussian noise on all that it sees.
        rate: of its learning, over that of the generator.

    Raises:
        ValueError: names the key.
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
        """From examples [batch, *shape] to [batch, 1].

        Raises:
            ValueError: names the key that does not suit the shape.
        """
        try:
            return NETWORKS[self.network](shape, self.hidden, self.depth, 1, self.activation)
        except ValueError as error:
            raise ValueError(str(error).replace("`model.", "`objective.critic.")) from None
