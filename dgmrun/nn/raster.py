r"""Autoregressive models of pictures, one pixel after another in raster order, and within a pixel one colour.

.. math:: p(x) = \prod_i \prod_c p(x_{i,c} \mid x_{<i}, x_{i,<c})

References:
    van den Oord, Kalchbrenner and Kavukcuoglu (2016), Pixel recurrent neural networks, https://arxiv.org/abs/1601.06759,
    equations 1 and 2.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

from dgmrun.nn.causal import CausalConv2d, colours
from dgmrun.nn.context import ContextVector
from dgmrun.nn.families import FAMILIES, LogisticMixture
from dgmrun.nn.pixel_layers import Layer
from dgmrun.nn.settings import check_size
from dgmrun.protocols.progress import tracked
from dgmrun.protocols.values import Event

EXAMPLES = 5000
"""Number of examples, about, that a model starts from."""
SAMPLED = 500
"""Number of samples that are drawn together."""
KINDS = ("binary", "levels", "categorical")
LEVELS = ("softmax", "logistic")


class Raster(nn.Module, ABC):
    """An autoregressive model of pictures: log p(x) costs one pass through its layers.

    So does a sample, once for each colour: layers keep what earlier pixels contribute to later ones.

    Args:
        event: event of one example, a picture; conditionals are Bernoulli for binary and categorical for categorical
            data.
        channels: number of features h of a pixel.
        head: number of channels of the hidden layer from features to conditionals.
        levels: conditionals of levels: `softmax`, or `logistic`, a mixture of discretised logistics.
        components: number of components of such a mixture.
        colour_order: order of the channels of a picture: null for that of the data, or a permutation as a list.
        context: event of the context, if any; of its vector y, each layer adds V y.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    order: Tensor
    layers: nn.ModuleList
    """Layers from x to features h, the first of which is `First`; a subclass makes them."""

    def __init__(
        self,
        event: Event,
        channels: int,
        head: int,
        levels: str,
        components: int,
        colour_order: Sequence[int] | None,
        context: Event | None,
    ) -> None:
        super().__init__()
        _check(event, channels, head, levels, components, colour_order)
        self.event, self.context, self.vector = event, context, ContextVector(context)
        is_mixture = event.kind == "levels" and levels == "logistic"
        self.family = LogisticMixture(event, components) if is_mixture else FAMILIES[event.kind](event)
        number = event.shape[0]
        order = range(number) if colour_order is None else colour_order
        self.register_buffer("order", torch.tensor(list(order)), persistent=False)
        seen = event.size if event.kind == "categorical" and event.size else 1
        self.below, self.colour = torch.arange(number).repeat_interleave(seen), colours(channels, number)
        hidden, outputs = colours(head, number), torch.arange(number).repeat_interleave(self.family.size)
        self.head = nn.ModuleList([CausalConv2d(self.colour, hidden, 1), CausalConv2d(hidden, outputs, 1)])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the output biases so that the conditionals start as fits the pixels of some of `x`."""
        some = x[:: max(1, len(x) // EXAMPLES)]
        pixels = some[:, self.order].movedim(1, -1).flatten(0, -2)
        self.head[-1].get_parameter("conv.bias").copy_(self.family.start(pixels).flatten())

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]."""
        ordered = x[:, self.order]
        return self.conditionals(ordered, context).log_prob(ordered).flatten(1).sum(1)

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1 | x_<d) of each dimension of binary x, [num, *event.shape]."""
        return self.conditionals(x[:, self.order], context).mean[:, self.order.argsort()]

    def conditionals(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x_d | x_<d) of each dimension, [batch, *event.shape], for x whose channels are in order."""
        return self.family(self.outputs(self.seen(x), context))

    def outputs(self, seen: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters of the conditionals [batch, *event.shape, size], given the input of the first layer."""
        y, v, h = self.vector(context, seen), None, seen
        for layer in self._layers:
            v, h = layer(v, h, y)
        first, last = self.head
        h = first(h.relu())
        with torch.autocast(h.device.type, enabled=False):  # half precision would round locations to half a level
            h = last(h.relu().to(self.like))
        return h.unflatten(1, (-1, self.family.size)).movedim(2, -1)

    def seen(self, x: Tensor) -> Tensor:
        """Input of the first layer [batch, inputs, height, width]: bits and levels from -1 to 1, classes one-hot."""
        if self.event.kind == "categorical":
            return one_hot(x, self.event.size or -1).permute(0, 1, 4, 2, 3).flatten(1, 2).to(self.like)
        return x.to(self.like) * (2 / max(1, (self.event.size or 2) - 1)) - 1

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape]."""
        x = torch.zeros(num, *self.event.shape, dtype=self.event.dtype, device=self.like.device)
        return self.impute(x, 0, context)

    @torch.no_grad()
    def impute(self, x: Tensor, rows: int, context: Tensor | None = None) -> Tensor:
        """Draws the pixels of pictures [num, *event.shape] below their first `rows`, given these."""
        y, found = self.vector(context, self.like), x[:, self.order]
        for each in torch.arange(len(x), device=x.device).split(SAMPLED):
            found[each] = self._impute(found[each], rows, None if y is None else y[each])
        return found[:, self.order.argsort()]

    def _impute(self, x: Tensor, rows: int, y: Tensor | None) -> Tensor:
        num, number, height, width = x.shape
        layers = [layer.cached(num, width, y) for layer in self._layers]
        head = [cast("CausalConv2d", conv).cached(num, width, None) for conv in self.head]
        for i, j in tracked(list(itertools.product(range(height), range(width)))):
            if j == 0:
                functools.reduce(lambda v, layer: layer.row(v), layers, None)
            pixel = x[:, :, i : i + 1, j : j + 1]
            for c in range(number if i >= rows else 1):
                h = functools.reduce(lambda h, layer: layer.pixel(j, h), layers, self.seen(pixel).flatten(1))
                h = functools.reduce(lambda h, conv: conv.pixel(j, h.relu()), head, h)
                if i >= rows:
                    pixel[:, c, 0, 0] = self.family(h.unflatten(1, (number, -1))[:, c]).sample()
            layers[0].pixel(j, self.seen(pixel).flatten(1))  # others see no colour that was drawn last
        return x

    @property
    def like(self) -> Tensor:
        """A parameter, which has the data type and device of all."""
        return self.head[0].get_parameter("conv.weight")

    @property
    def _layers(self) -> Iterable[Layer]:
        return cast("Iterable[Layer]", self.layers)


def _check(
    event: Event, channels: int, head: int, levels: str, components: int, colour_order: Sequence[int] | None
) -> None:
    """Refuses settings that make no model.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """
    event.require(KINDS, "a model of pixels")
    event.require_picture("a model of pixels", "model=made")
    number = event.shape[0]
    for key, size, least in (("channels", channels, 2 * number), ("head", head, number), ("components", components, 1)):
        check_size(key, size, least)
    if levels not in LEVELS:
        raise ValueError(f"`model.levels` must be {' or '.join(LEVELS)}, but is {levels}")
    asked = range(number) if colour_order is None else colour_order
    is_list = isinstance(asked, (range, list, tuple))
    if not is_list or sorted(map(str, asked)) != sorted(map(str, range(number))):
        must = f"null or a permutation of 0 to {number - 1} as a list"
        raise ValueError(f"`model.colour_order` must be {must}, but is {colour_order}")


def check_kernel(key: str, size: int) -> None:
    """Refuses the size of a kernel that has no middle, or no neighbours of it.

    Raises:
        ValueError: the message names the key.
    """
    if type(size) is not int or size < 3 or size % 2 == 0:
        raise ValueError(f"`model.{key}` must be odd and at least 3, but is {size}")
