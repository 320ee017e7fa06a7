r"""Autoregressive models of sequences, one step after another.

.. math:: p(x) = \prod_{t=1}^{L} p(x_t \mid x_{<t})

of L steps; of strings, the last is their end, and what follows it has no part in p. Numbers of a step that is a vector
are independent given earlier steps.

References:
    Bengio, Ducharme, Vincent and Jauvin (2003), A neural probabilistic language model, JMLR 3, equation 1.
    Graves (2013), Generating sequences with recurrent neural networks, https://arxiv.org/abs/1308.0850,
    equations 5 to 8.
"""

from __future__ import annotations

from abc import ABC

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import pad

from dgmrun.nn.causal_network import CausalNetwork, packed, padded
from dgmrun.nn.context import ContextVector
from dgmrun.nn.families import FAMILIES, FiniteFamily
from dgmrun.nn.settings import check_size
from dgmrun.nn.standardise import Standardise, Unchanged
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Event

KINDS = ("tokens", "levels", "categorical", "binary", "real")


class AutoregressiveSequence(nn.Module, ABC):
    """A density of sequences: log p(x) costs one pass through a causal network, and a sample as many steps as it has.

    Args:
        event: event of one example, [length]; or [length, D], of real vectors. Any other shape is read in raster order.
        embedding: size of the learned vector of each token, level or class that a step may have; bits are as they are,
            and real numbers standardised, with one mean and scale for all steps.
        context: event of the context, if any.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    network: CausalNetwork
    """Network from inputs of steps to features; a subclass makes it, and `head`, of as many features."""
    head: nn.Linear

    def __init__(self, event: Event, embedding: int, context: Event | None) -> None:
        super().__init__()
        event.require(KINDS, "a model of sequences")
        check_size("embedding", embedding, 1)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        self.width = event.shape[-1] if event.kind == "real" and len(event.shape) == 2 else 1
        self.length = event.dims // self.width
        self.family = FiniteFamily(event) if event.kind == "tokens" else FAMILIES[event.kind](event)
        self.standardise = Standardise(self.width) if event.kind == "real" else Unchanged()
        self.units = None if event.size is None else nn.Embedding(1 + event.size, embedding)
        self.inputs = self.width + 1 if event.size is None else embedding

    def outputs(self) -> nn.Linear:
        """Makes a layer from the features of the network to the parameters of the conditionals of a step."""
        return nn.Linear(self.network.features, self.width * self.family.size)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the output biases so that every conditional starts as fits all steps of `x`."""
        steps = packed(x.reshape(-1, self.length, self.width), self.event.size_of(x).long() // self.width).data
        self.standardise.fit(steps)
        self.head.bias.copy_(self.family.start(self.standardise(steps)).flatten())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]."""
        steps = x.reshape(-1, self.length, self.width)
        z = self.standardise(steps.flatten(0, 1)).unflatten(0, steps.shape[:2])
        lengths = self.event.size_of(x).long() // self.width
        before = packed(self._before(z), lengths)
        features = self.network(before._replace(data=self._seen(before.data)), self.vector(context, self.head.weight))
        log_p = self.conditionals(features).log_prob(packed(z, lengths).data).sum(1)
        return padded(log_p, before).sum(1) + self.length * self.standardise.log_jacobian()

    def conditionals(self, features: Tensor) -> Distribution:
        """p(x_t | x_<t) of steps with these features, [steps, width]."""
        return self.family(self.head(features).unflatten(1, (self.width, self.family.size)))

    def _before(self, z: Tensor) -> Tensor:
        """What precedes each step of z [batch, steps, width]: 0 at the start, else numbers and a 1, or values + 1."""
        values = pad(z, (0, 1), value=1.0) if self.units is None else z.long() + 1
        return pad(values[:, :-1], (0, 0, 1, 0))

    def _seen(self, before: Tensor) -> Tensor:
        """Inputs of the network, [steps, inputs]."""
        if self.units is None:
            return before.to(self.head.weight)
        found: Tensor = self.units(before[:, 0])
        return found

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], drawn one step after another."""
        weight = self.head.weight
        step = self.network.cached(num, self.vector(context, weight))
        dtype = weight.dtype if self.event.dtype.is_floating_point else self.event.dtype
        z = torch.zeros(num, self.length, self.width, dtype=dtype, device=weight.device)
        before, goes_on = self._before(z[:, :1])[:, 0], torch.ones_like(z[:, 0], dtype=torch.bool)
        for t in tracked(range(self.length)):
            drawn = self.conditionals(step(self._seen(before))).sample()
            if self.event.kind == "tokens":
                drawn = drawn * goes_on
                goes_on &= drawn != 0
                if not goes_on.any():
                    break
            z[:, t] = drawn
            before = self._before(torch.stack((drawn, drawn), 1))[:, 1]
        return self.standardise.inverse(z.flatten(0, 1)).reshape(num, *self.event.shape)
