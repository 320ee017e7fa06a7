r"""Ising model: a Boltzmann machine without hidden units, with couplings on the edges of a graph.

.. math:: p(x) = \exp\Big(\sum_i b_i s_i + \sum_{(i,j) \in E} J_{ij} s_i s_j\Big) / Z, \qquad s = 2x - 1

References:
    Ising (1925), Beitrag zur Theorie des Ferromagnetismus.
    Ackley, Hinton and Sejnowski (1985), A learning algorithm for Boltzmann machines.
    Younes (1989), Parametric inference for imperfectly observed Gibbsian fields.
"""

from __future__ import annotations

from itertools import chain, count
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from dgmrun.nn.binary import bernoulli, bits, marginal_logits
from dgmrun.nn.settings import check_word
from dgmrun.protocols.values import Batch, Event


class Ising(nn.Module):
    """A fully visible pairwise model of binary units x, with spins s = 2x - 1.

    A grid couples neighbours only; the complete graph gives the fully visible Boltzmann machine. Use either to model
    pairwise correlations. A Gibbs sweep costs one [D, D] product, split into D steps on the complete graph.

    Args:
        event: event of one example; it must be binary.
        graph: `grid`, the 4-neighbour lattice of each channel (a chain for a table), or `complete`, all pairs.
        weight_std: standard deviation of the initial couplings, in nats.

    Raises:
        ValueError: the event is not binary, the graph is unknown, or `weight_std` is negative.

    Example:
        >>> Ising(Event((1, 2, 3), "binary")).weight.shape
        torch.Size([7])
        >>> Ising(Event((6,), "binary"), graph="complete").weight.shape
        torch.Size([15])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "couplings": ("coupling J", "unit", "unit"),
        "biases": ("bias b", "", "unit"),
        "conditionals": ("p(x_i = 1 | other units)", "example", "unit"),
    }
    place: Tensor
    order: Tensor

    def __init__(self, event: Event, graph: str = "grid", weight_std: float = 0.01) -> None:
        super().__init__()
        event.require(("binary",), "an Ising model")
        check_word("graph", graph, GRAPHS)
        if weight_std < 0:
            raise ValueError(f"`model.weight_std` must not be negative, but is {weight_std}")
        self.event = event
        i, j = GRAPHS[graph](event)
        classes = colour_classes(i, j, event.dims)
        self.sizes = [len(sites) for sites in classes]
        self.register_buffer("place", i * event.dims + j, persistent=False)
        self.register_buffer("order", torch.tensor(list(chain.from_iterable(classes))), persistent=False)
        self.weight = nn.Parameter(weight_std * torch.randn(len(i)))
        self.bias = nn.Parameter(torch.zeros(event.dims))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the biases to half the logits of the smoothed means of `x`, so that marginals match if J = 0."""
        self.bias.copy_(marginal_logits(x) / 2)

    def couplings(self) -> Tensor:
        """The symmetric matrix J of couplings, [D, D]; weights are ordered by the edges i < j."""
        size = self.event.dims
        upper = self.weight.new_zeros(size * size).scatter(0, self.place, self.weight).reshape(size, size)
        return upper + upper.t()

    def log_unnormalised(self, x: Tensor) -> Tensor:
        r""":math:`\sum_i b_i s_i + \frac{1}{2} s^\top J s`, in nats [batch]."""
        return log_f(spins(x.flatten(1)), self.bias, self.couplings())

    @torch.no_grad()
    def walk(self, x: Tensor, steps: int) -> Tensor:
        """Applies `steps` Gibbs sweeps to `x`, each of which draws one colour class after another given the others."""
        path, s = IsingPath(self, torch.zeros_like(self.bias)), spins(x.flatten(1))
        for _ in range(steps):
            path.sweep(s, self.bias.new_ones(()))
        return units(s).reshape(x.shape)

    def annealed(self, x: Tensor) -> IsingPath:
        """Geometric path from independent units with the marginals of `x`."""
        return IsingPath(self, marginal_logits(x))

    def enumerable_bits(self) -> int:
        """Number of units D, all of which are visible."""
        return self.event.dims

    @torch.no_grad()
    def log_masses(self, index: Tensor) -> Tensor:
        """log f of the states numbered `index`, float64 [states]."""
        s = spins(bits(index.to(self.bias.device), self.event.dims).double())
        return log_f(s, self.bias.double(), self.couplings().double())

    @torch.no_grad()
    def complete(self, index: Tensor) -> Tensor:
        """The states numbered `index`, [states, *event.shape]."""
        x = bits(index.to(self.bias.device), self.event.dims).to(self.bias)
        return x.reshape(-1, *self.event.shape)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Couplings [D, D], biases [1, *event.shape], and p(x_i = 1 | the other units of `x`) [batch, *event.shape]."""
        couplings = self.couplings()
        fields = linear(spins(batch.x.flatten(1)), couplings, self.bias)
        return {
            "couplings": couplings,
            "biases": self.bias.reshape(1, *self.event.shape),
            "conditionals": torch.sigmoid(2 * fields).reshape(batch.x.shape),
        }


class IsingPath:
    r"""Annealing from independent units to an Ising model.

    .. math:: \log f_\beta(x) = (1 - \beta) c^\top x + \beta \Big(b^\top s + \frac{1}{2} s^\top J s\Big)

    A state is [chains, D]. The weight and the transition cost one [D, D] product each.

    References:
        Neal (2001), Annealed importance sampling, equation 3.
        Geman and Geman (1984), Stochastic relaxation, Gibbs distributions and the Bayesian restoration of images.
    """

    def __init__(self, model: Ising, base_logits: Tensor) -> None:
        self.bias, self.couplings = model.bias.detach(), model.couplings().detach()
        self.base_logits, self.order = base_logits.to(self.bias), model.order
        self.sizes, parts = model.sizes, (model.order, self.couplings[model.order], self.bias[model.order])
        self.classes = list(zip(*(part.split(model.sizes) for part in parts), strict=True))

    def log_normaliser(self) -> Tensor:
        r"""log Z at beta = 0, :math:`\sum_i \log(1 + e^{c_i})`."""
        return softplus(self.base_logits.double()).sum()

    def start(self, num: int) -> Tensor:
        """Samples of independent units, [num, D]."""
        return bernoulli(torch.sigmoid(self.base_logits).expand(num, -1))

    def move(self, state: Tensor, beta: Tensor, next_beta: Tensor) -> tuple[Tensor, Tensor]:
        """Makes one Gibbs sweep at `next_beta`; also returns the increment of the log-weight, [chains]."""
        s = spins(state)
        increment = (next_beta - beta) * (log_f(s, self.bias, self.couplings) - state @ self.base_logits)
        self.sweep(s, next_beta)
        return units(s), increment

    def sweep(self, s: Tensor, beta: Tensor) -> None:
        r"""Draws the spins `s` [chains, D] in place, one colour class after another.

        The logit of s_i = 1 is :math:`(1 - \beta) c_i + 2 \beta (b_i + \sum_j J_{ij} s_j)`: a spin is up if it exceeds
        a sample of the standard logistic distribution.
        """
        noise = torch.rand_like(s).logit_() - (1 - beta) * self.base_logits[self.order]
        for (sites, couplings, bias), threshold in zip(self.classes, noise.split(self.sizes, 1), strict=True):
            is_up = 2 * beta * linear(s, couplings, bias) > threshold
            s.index_copy_(1, sites, spins(is_up.to(s)))


def spins(x: Tensor) -> Tensor:
    """Returns s = 2x - 1, in {-1, 1}, as a new tensor."""
    return 2 * x - 1


def units(s: Tensor) -> Tensor:
    """Returns x = (s + 1) / 2, in {0, 1}."""
    return (s + 1) / 2


def log_f(s: Tensor, bias: Tensor, couplings: Tensor) -> Tensor:
    """Sum of b_i s_i over units and of J_ij s_i s_j over edges, [batch], for spins `s` [batch, D] and symmetric J."""
    return (s * linear(s, couplings)).sum(-1) / 2 + s @ bias


def grid(event: Event) -> tuple[Tensor, Tensor]:
    """Edges i < j between neighbours along the last two axes of the event, or the only axis of a table."""
    sites = torch.arange(event.dims).reshape(event.shape)
    axes = list(enumerate(event.shape))[-2:]
    i = torch.cat([sites.narrow(axis, 0, size - 1).flatten() for axis, size in axes])
    j = torch.cat([sites.narrow(axis, 1, size - 1).flatten() for axis, size in axes])
    return i, j


def complete(event: Event) -> tuple[Tensor, Tensor]:
    """Edges i < j between all pairs."""
    i, j = torch.triu_indices(event.dims, event.dims, 1)
    return i, j


GRAPHS = {graph.__name__: graph for graph in (grid, complete)}


def colour_classes(i: Tensor, j: Tensor, num: int) -> list[list[int]]:
    """Colours the sites 0 to `num` - 1 greedily, so that no edge lies within a class; a grid has two classes.

    Args:
        i: lower end of each edge, [edges].
        j: higher end of each edge, [edges].
        num: number of sites.
    """
    earlier: list[list[int]] = [[] for _ in range(num)]
    for low, high in zip(i.tolist(), j.tolist(), strict=True):
        earlier[high].append(low)
    colours: list[int] = []
    classes: dict[int, list[int]] = {}
    for site, neighbours in enumerate(earlier):
        taken = {colours[neighbour] for neighbour in neighbours}
        colours.append(next(colour for colour in count() if colour not in taken))
        classes.setdefault(colours[site], []).append(site)
    return list(classes.values())
