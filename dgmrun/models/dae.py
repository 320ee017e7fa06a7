r"""Generalised denoising auto-encoder: a Markov chain that corrupts x and draws it again from its reconstruction.

.. math:: \tilde x \sim C(\tilde x \mid x), \qquad x' \sim p(x \mid \tilde x) = \prod_d p(x_d \mid \tilde x)

If p(x | x~) is the posterior under the data law and C, the chain leaves that law invariant. Its own law has no density
that could be computed: it is a sampler, and a teacher by its samples.

References:
    Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing robust features with denoising
    autoencoders.
    Bengio, Yao, Alain and Vincent (2013), Generalized denoising auto-encoders as generative models,
    https://arxiv.org/abs/1305.6663, section 2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.nn.context import ContextVector
from dgmrun.nn.families import FAMILIES
from dgmrun.nn.mlp import ACTIVATIONS, mlp
from dgmrun.nn.settings import check_size, check_word
from dgmrun.nn.standardise import first_layer
from dgmrun.protocols.values import Batch, Event


class DAE(nn.Module):
    """A denoising auto-encoder; a step of its chain costs one pass through its network.

    A reconstruction has independent dimensions, while posteriors are close to that only for small corruptions. Those
    are slow to mix: the level trades the bias of the chain for its speed.

    Args:
        event: event of one example; reconstructions are Bernoulli for binary, categorical for levels and categorical,
            and Gaussian for real data, which are standardised first.
        corruption: `salt_and_pepper` (a uniform draw) for binary, levels and categorical data; `gaussian` (noise) for
            real data; `masking` (by 0, the mean where x is standardised) for binary and real data; None for the first
            that suits the event.
        level: probability that a dimension is corrupted; of gaussian noise, its standard deviation in those of the
            data.
        hidden: number of units of each hidden layer.
        depth: number of hidden layers; 0 for a linear map.
        activation: activation of hidden layers: sigmoid, tanh, relu, leaky_relu, elu or softplus.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> dae = DAE(Event((4,), "binary"), hidden=3)
        >>> dae.walk(torch.zeros(2, 4), steps=5).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        event: Event,
        corruption: str | None = None,
        level: float = 0.4,
        hidden: int = 500,
        depth: int = 1,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        event.require(tuple(FAMILIES), "a denoising auto-encoder")
        check_word("activation", activation, ACTIVATIONS)
        check_size("hidden", hidden, 1)
        check_size("depth", depth, 0)
        self.event, self.corruption = event, chosen(corruption, event, level)
        self.units, self.standardise = ContextVector(event), first_layer(event)
        self.family = FAMILIES[event.kind](event)
        self.network = mlp([self.units.size, *[hidden] * depth, event.dims * self.family.size], activation)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the output biases so that reconstructions start near the marginal distributions of `x`."""
        self.standardise.fit(x)
        self._output.bias.copy_(self.family.start(self.standardise(x)).flatten())

    @property
    def _output(self) -> nn.Linear:
        layer: nn.Linear = self.network[-1]  # type: ignore[assignment]
        return layer

    def corrupt(self, x: Tensor) -> Tensor:
        """Draws x~ from C(x~ | x), [batch, *event.shape]."""
        return self.standardise.inverse(self.corruption(self.standardise(x))).reshape(x.shape)

    def log_corruption(self, corrupted: Tensor, x: Tensor) -> Tensor | None:
        """log C(x~ | x) of every pair in nats, [corrupted, batch]; None if C cannot reach every x~ from every x."""
        log_c = self.corruption.log_prob(self.standardise(corrupted), self.standardise(x))
        return None if log_c is None else log_c + self.standardise.log_jacobian()

    def reconstruction(self, corrupted: Tensor) -> Distribution:
        """p(x | x~), dimension by dimension, [batch, D]."""
        seen = self.units(self.standardise(corrupted), self._output.weight)
        outputs = self.network(seen).unflatten(-1, (self.event.dims, self.family.size))
        return self.standardise.law(self.family(outputs))

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Applies `steps` times a corruption and a reconstruction to `x`."""
        for _ in range(steps):
            x = self.reconstruction(self.corrupt(x)).sample().reshape(x.shape).to(x)
        return x

    @torch.no_grad()
    def means(self, x: Tensor, context: None = None) -> Tensor:
        """p(x = 1 | x~) of binary x, for a corruption x~ of each: the means of its next step, not of its last."""
        return self.reconstruction(self.corrupt(x)).mean.reshape(x.shape)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """For images: corruptions of the examples, and draws of their reconstructions."""
        if not self.event.is_picture:
            return {}
        corrupted = self.corrupt(batch.x)
        drawn = self.reconstruction(corrupted).sample().reshape(batch.x.shape)
        return {"corruptions": corrupted, "reconstructions": drawn}


class Corruption(ABC):
    """C(z~ | z), independent for each dimension of z [batch, D].

    Args:
        event: event of one example.
        level: its strength.

    Raises:
        ValueError: the level is invalid; the message names its key.
    """

    kinds: ClassVar[tuple[str, ...]]
    most: ClassVar[float] = 1.0

    def __init__(self, event: Event, level: float) -> None:
        if not 0 < level < self.most:
            most = "" if self.most == math.inf else f" and below {self.most}"
            raise ValueError(f"`model.level` must be above 0{most}, but is {level}")
        self.level, self.states = level, event.size or 2

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Draws z~, [batch, D]."""

    def log_prob(self, corrupted: Tensor, z: Tensor) -> Tensor | None:
        """log C(z~ | z) of every pair, [corrupted, batch]; None if C cannot reach every z~ from every z."""
        return None

    def _where(self, z: Tensor) -> Tensor:
        return torch.rand(z.shape, device=z.device) < self.level


class SaltAndPepper(Corruption):
    """A dimension is replaced, with probability `level`, by a uniform draw of its states."""

    kinds = ("binary", "levels", "categorical")

    def __call__(self, z: Tensor) -> Tensor:
        """Draws z~, [batch, D]."""
        return torch.where(self._where(z), torch.randint_like(z, self.states), z)

    def log_prob(self, corrupted: Tensor, z: Tensor) -> Tensor:
        """log C(z~ | z) of every pair, by the number of dimensions that differ."""
        other = self.level / self.states
        if z.is_floating_point():  # bits, whose distances are found by a product of matrices
            differ = torch.cdist(corrupted, z).square().round()
        else:
            differ = torch.cdist(corrupted.double(), z.double(), p=0)
        return differ * math.log(other) + (z.shape[1] - differ) * math.log(1 - self.level + other)


class Gaussian(Corruption):
    """Noise of standard deviation `level` is added."""

    kinds = ("real",)
    most = math.inf

    def __call__(self, z: Tensor) -> Tensor:
        """Draws z~, [batch, D]."""
        return z + self.level * torch.randn_like(z)

    def log_prob(self, corrupted: Tensor, z: Tensor) -> Tensor:
        """log C(z~ | z) of every pair, by their distance."""
        square = torch.cdist(corrupted, z, compute_mode="donot_use_mm_for_euclid_dist").square()
        return -square / (2 * self.level**2) - z.shape[1] * math.log(self.level * math.sqrt(2 * math.pi))


class Masking(Corruption):
    """A dimension is replaced, with probability `level`, by 0."""

    kinds = ("binary", "real")

    def __call__(self, z: Tensor) -> Tensor:
        """Draws z~, [batch, D]."""
        return z.masked_fill(self._where(z), 0)


CORRUPTIONS: dict[str, type[Corruption]] = {
    "salt_and_pepper": SaltAndPepper,
    "gaussian": Gaussian,
    "masking": Masking,
}


def chosen(name: str | None, event: Event, level: float) -> Corruption:
    """Makes the corruption of this name, or for None the first that suits the event.

    Raises:
        ValueError: there is no such corruption, it does not suit the event, or the level is invalid.
    """
    suiting = {key: each for key, each in CORRUPTIONS.items() if event.kind in each.kinds}
    if name is not None and name not in tuple(suiting):
        raise ValueError(f"`model.corruption` must be {' or '.join(suiting)} for {event.kind} data, but is {name}")
    return suiting[name or next(iter(suiting))](event, level)
