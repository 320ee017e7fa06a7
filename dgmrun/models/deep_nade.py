r"""Deep and orderless NADE: one network has the conditionals of every order of the dimensions of binary data.

.. math:: p(x) = \frac{1}{M} \sum_o p_o(x), \quad p_o(x) = \prod_d p(x_{o_d} \mid x_{o_{<d}}), \quad
          p(x_d = 1 \mid x_S) = \sigma(f_d(x \odot m_S, m_S))

where the network f sees the dimensions S as they are, 0 for the others, and beside them the mask m_S, which is 1 in S.
Nothing makes the p_o of different orders agree, so the likelihood of the model is that of M given orders: their mean
(EoNADE), a mixture, so that p is normalised. More orders raise it, in proportion to its cost.

References:
    Uria, Murray and Larochelle (2014), A deep and tractable density estimator, https://arxiv.org/abs/1310.1757,
    sections 3 to 5, equations 13 and 14 for the mean over orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import linear

from dgmrun.models.nade import permutation
from dgmrun.nn.binary import Bernoulli, marginal_logits
from dgmrun.nn.context import ContextVector, beside
from dgmrun.nn.mlp import check_layers, mlp
from dgmrun.protocols.values import Event
from dgmrun.rng import seeded


class DeepNADE(nn.Module):
    """A NADE of any depth whose weights serve every order, for the objective `mle_orderless`.

    A training step of that objective costs one pass through the network, log p(x) costs M D and a sample D of them,
    less the first and the last layer, of which a dimension costs its own weights alone.

    Args:
        event: event of one example; it must be binary.
        hidden: number of units of each hidden layer.
        order: the first order of the dimensions: null for that of the data, an integer as the seed of a random
            permutation, or the permutation as a list. Further orders are random.
        orders: number of orders M whose mean log p(x) is of. They depend on these settings alone, and are the same for
            every seed of a run; orderless training does not depend on them.
        activation: activation of hidden layers: tanh, relu, leaky_relu, elu or softplus.
        context: event of the context, if any, whose vector is a further input.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> nade = DeepNADE(Event((1, 2, 2), "binary"), hidden=[3, 3], orders=2)
        >>> nade.log_prob(nade.sample(5)).shape
        torch.Size([5])
    """

    orders: Tensor

    def __init__(
        self,
        event: Event,
        hidden: Sequence[int] = (500,),
        order: int | Sequence[int] | None = None,
        orders: int = 1,
        activation: str = "tanh",
        context: Event | None = None,
    ) -> None:
        super().__init__()
        event.require(("binary",), "a deep NADE")
        check_layers(hidden, activation)
        if orders < 1:
            raise ValueError(f"`model.orders` must be at least 1, but is {orders}")
        self.event, self.context, self.vector = event, context, ContextVector(context)
        first, *between, last = mlp([2 * event.dims + self.vector.size, *hidden, event.dims], activation)
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        self.input, self.between, self.output = first, nn.Sequential(*between), last
        with seeded(0, "orders"):
            every = [permutation(order, event.dims), *(torch.randperm(event.dims) for _ in range(1, orders))]
        self.register_buffer("orders", torch.stack(every), persistent=False)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the output biases to the logits of the smoothed means of `x`."""
        self.output.bias.copy_(marginal_logits(x))

    def num_orders(self) -> int:
        """Number of orders over which p(x) is a mean."""
        return len(self.orders)

    def log_conditionals(self, x: Tensor, seen: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x_d | x_S) of every dimension d in nats, [batch, D], where S is where `seen` [batch, D] is 1."""
        flat = x.reshape(len(x), -1)
        inputs = beside(torch.cat((flat * seen, seen), 1), self.vector(context, self.input.weight))
        conditionals: Distribution = Bernoulli(self.output(self.between(self.input(inputs))))
        return conditionals.log_prob(flat)

    def conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Distribution:
        """p_o(x_d | x_<d) of every dimension in the order numbered `order`, [batch, D], for x [batch, D]."""
        a, logits = self._start(len(x), context), []
        for d in self.orders[order].tolist():
            logits.append(self._logit(a, d))
            a = self._shown(a, d, x[:, d])
        return Bernoulli(torch.stack(logits, 1)[:, self.orders[order].argsort()])

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) in nats, [batch]: of the mean over orders; x may be real-valued, for gradients in x."""
        flat = x.reshape(len(x), -1)
        each = [self.conditionals(flat, context, order).log_prob(flat).sum(1) for order in range(len(self.orders))]
        return torch.stack(each).logsumexp(0) - math.log(len(each))

    @torch.no_grad()
    def means(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(x_d = 1 | x_<d) of each dimension, [num, *event.shape], averaged over the orders given x."""
        flat = x.reshape(len(x), -1)
        each = [self.conditionals(flat, context, order) for order in range(len(self.orders))]
        weight = torch.stack([one.log_prob(flat).sum(1) for one in each]).softmax(0).unsqueeze(-1)
        return (weight * torch.stack([one.mean for one in each])).sum(0).reshape(x.shape)

    @torch.no_grad()
    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Independent samples [num, *event.shape], each in an order drawn for it, one dimension after another."""
        start = self._start(num, context)
        x, which = start.new_empty(num, self.event.dims), torch.randint(len(self.orders), (num,)).to(start.device)
        for place, order in enumerate(self.orders.tolist()):
            rows = which == place
            x[rows] = self._sample(start[rows], order)
        return x.reshape(-1, *self.event.shape)

    def _sample(self, a: Tensor, order: Sequence[int]) -> Tensor:
        x = a.new_empty(len(a), self.event.dims)
        for d in order:
            x[:, d] = Bernoulli(self._logit(a, d)).sample()
            a = self._shown(a, d, x[:, d])
        return x

    def _start(self, num: int, context: Tensor | None) -> Tensor:
        """Inputs of the first hidden layer [num, H] where no dimension is seen."""
        y, bias = self.vector(context, self.input.weight), self.input.bias
        return (bias if y is None else linear(y, self.input.weight[:, -self.vector.size :], bias)).expand(num, -1)

    def _shown(self, a: Tensor, d: int, x: Tensor) -> Tensor:
        """Inputs of the first hidden layer once dimension d is seen, too, whose values are `x` [num]."""
        weight = self.input.weight
        return a + x.unsqueeze(1) * weight[:, d] + weight[:, self.event.dims + d]

    def _logit(self, a: Tensor, d: int) -> Tensor:
        """Log-odds of dimension d, [num], given the inputs of the first hidden layer."""
        return linear(self.between(a), self.output.weight[d : d + 1], self.output.bias[d : d + 1])[:, 0]
