r"""Masked autoencoder for distribution estimation: all conditionals of an autoregressive model by one masked network.

.. math:: p(x) = \frac{1}{M} \sum_m \prod_d p_m(x_d \mid x_{<_m d})

where every mask m has an order :math:`<_m` of the dimensions and a connectivity of its own, and all share their
weights. The mean over masks is a mixture, so that p is normalised. Training ascends the mean of log p_m, which is at
most log p, by one random mask at a time.

References:
    Germain, Gregor, Murray and Larochelle (2015), MADE: masked autoencoder for distribution estimation,
    https://arxiv.org/abs/1502.03509, section 4 and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.models.nade import permutation
from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.families import FAMILIES
from dgmrun.nn.masked import MaskedMLP, hidden_numbers
from dgmrun.nn.mlp import check_layers
from dgmrun.nn.standardise import first_layer
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded

SAMPLED = 1000
"""Number of samples that are drawn together."""


class MADE(nn.Module):
    """A masked autoencoder: log p(x) costs M passes through its network, or one in training, and a sample costs D.

    Args:
        event: event of one example; conditionals are Bernoulli for binary, categorical for levels and categorical,
            and Gaussian for real data, which are standardised first.
        hidden: number of units of each hidden layer.
        order: order of the dimensions in the first mask: null for that of the data, an integer as the seed of a random
            permutation, or the permutation as a list. The orders of further masks are random.
        masks: number of masks M. They depend on these settings alone, and are the same for every seed of a run.
        direct: whether there are also weights from inputs to outputs.
        activation: activation of hidden layers: tanh, relu, leaky_relu, elu or softplus.
        context: event of the context, if any, whose vector is an input that all dimensions come after.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> made = MADE(Event((1, 2, 2), "binary"), hidden=[3], masks=2)
        >>> made.log_prob(made.sample(5)).shape
        torch.Size([5])
    """

    orders: Tensor
    connectivity: Tensor

    def __init__(
        self,
        event: Event,
        hidden: Sequence[int] = (500,),
        order: int | Sequence[int] | None = None,
        masks: int = 1,
        direct: bool = True,
        activation: str = "relu",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(tuple(FAMILIES), "a MADE")
        check_layers(hidden, activation)
        if masks < 1:
            raise ValueError(f"`model.masks` must be at least 1, but is {masks}")
        self.event, self.context, self.hidden = event, context, list(hidden)
        self.units, self.vector = ContextVector(event), ContextVector(context)
        self.family, self.standardise = FAMILIES[event.kind](event), first_layer(event)
        inputs = self.units.size + self.vector.size
        self.network = MaskedMLP(inputs, hidden, event.dims * self.family.size, activation, direct)
        least = 1 if context is None and event.dims > 1 else 0  # units numbered 0 see the context alone
        with seeded(0, "masks"):
            orders = [permutation(order, event.dims), *(torch.randperm(event.dims) for _ in range(1, masks))]
            connectivity = [hidden_numbers(hidden, event.dims, least) for _ in range(masks)]
        self.register_buffer("orders", torch.stack(orders), persistent=False)
        self.register_buffer("connectivity", torch.stack(connectivity), persistent=False)
        for place, only in enumerate(self.masks(0) if masks == 1 else ()):
            self.register_buffer(f"mask_{place}", only, persistent=False)
        self.drawn_by: int | None = None

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the output biases so that the conditionals start near the marginal distributions of `x`."""
        self.standardise.fit(x)
        self.network.output.bias.copy_(self.family.start(self.standardise(x)).flatten())

    def num_orders(self) -> int:
        """Number of masks, each with an order, over which p(x) is a mean."""
        return len(self.orders)

    def masked(self, mask: int) -> list[Tensor]:
        """The weights of the network that a mask leaves."""
        weights = self.network.weights()
        several = len(self.orders) > 1
        masks = self.masks(mask) if several else [self.get_buffer(f"mask_{place}") for place in range(len(weights))]
        return [weight * its for weight, its in zip(weights, masks, strict=True)]

    def masks(self, mask: int) -> list[Tensor]:
        """Which weights of each layer a mask leaves.

        Units are numbered by places in the order, 1 to D, and 0 for context: an input or output has that of its
        dimension, and a hidden unit sees inputs up to its own.
        """
        place = self.orders[mask].argsort() + 1
        inputs = place.repeat_interleave(self.units.size // self.event.dims)
        inputs = torch.cat((inputs, place.new_zeros(self.vector.size)))
        outputs = place.repeat_interleave(self.family.size)
        return self.network.masks([inputs, *self.connectivity[mask].split(self.hidden), outputs])

    def conditionals(
        self, x: Tensor, y: Tensor | None, weights: Sequence[Tensor], of: slice = slice(None)
    ) -> Distribution:
        """p_m(x_d | x_<d) of dimensions d, [batch, dimensions].

        Args:
            x: examples [batch, D], standardised.
            y: vectors of their contexts, if any.
            weights: those that the mask m leaves.
            of: which dimensions are wanted.
        """
        size, seen = self.family.size, self.units(x, self.network.output.weight)
        assert seen is not None
        entries = of if of == slice(None) else slice(of.start * size, of.stop * size)
        found: Tensor = self.network(beside(seen, y), weights, entries)
        return self.family(found.unflatten(1, (-1, size)))

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch].

        In training it is log p_m(x) of one mask, drawn at random, or the one that has just drawn samples.
        """
        every: Sequence[int] = range(len(self.orders))
        if self.training:
            mask = int(torch.randint(len(self.orders), ())) if self.drawn_by is None else self.drawn_by
            every, self.drawn_by = [mask], None
        z, y = self.standardise(x), self.vector(context, self.network.output.weight)
        each = _log_each([self.conditionals(z, y, self.masked(mask)) for mask in every], z)
        return each.logsumexp(0) - math.log(len(every)) + self.standardise.log_jacobian()

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1 | x_<d) of each dimension of binary x, [num, *event.shape], averaged over the masks given x."""
        flat, y = x.reshape(len(x), -1), self.vector(context, self.network.output.weight)
        each = [self.conditionals(flat, y, self.masked(mask)) for mask in range(len(self.orders))]
        weight = _log_each(each, flat).softmax(0).unsqueeze(-1)
        return (weight * torch.stack([one.mean for one in each])).sum(0).reshape(x.shape)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], drawn one dimension after another; in training all by one mask."""
        weight = self.network.output.weight
        y = self.vector(context, weight)
        which = torch.randint(len(self.orders), (1 if self.training else num,)).expand(num)
        self.drawn_by = int(which[0]) if self.training else None
        dtype = weight.dtype if self.event.dtype.is_floating_point else self.event.dtype
        x = torch.zeros(num, self.event.dims, dtype=dtype, device=weight.device)
        for mask in which.unique().tolist():
            for rows in (which == mask).nonzero()[:, 0].to(weight.device).split(SAMPLED):
                x[rows] = self._sample(x[rows], None if y is None else y[rows], mask)
        return self.standardise.inverse(x).reshape(-1, *self.event.shape)

    def _sample(self, x: Tensor, y: Tensor | None, mask: int) -> Tensor:
        weights = self.masked(mask)
        for d in self.orders[mask].tolist():
            x[:, d] = self.conditionals(x, y, weights, slice(d, d + 1)).sample()[:, 0]
        return x


def _log_each(each: Sequence[Distribution], x: Tensor) -> Tensor:
    """log p_m(x) by the conditionals of each mask m, [masks, batch], for x [batch, D]."""
    return torch.stack([conditionals.log_prob(x).sum(1) for conditionals in each])
