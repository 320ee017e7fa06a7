r"""Deep belief network: directed layers of binary units under a restricted Boltzmann machine.

.. math:: p(x, h) = p(x \mid h_1)\, p(h_1 \mid h_2) \cdots p(h_{L-2} \mid h_{L-1})\, p_{RBM}(h_{L-1}, h_L), \qquad
          q(h \mid x) = q(h_1 \mid x) \cdots q(h_{L-1} \mid h_{L-2})

where units are on with probabilities :math:`\sigma(a_l + W_l h_l)` under p, going down from layer l, and
:math:`\sigma(b_l + R_l^\top h_{l-1})` under q, going up to it. The top layer h_L is summed out, so that
log p(h_{L-1}) is that of the machine at the top, and log p(x) is bounded through its log Z. Directed layers start as
restricted Boltzmann machines that were trained one above the other, with R = W.

References:
    Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets.
    Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.models.rbm import RBM
from dgmrun.nn.binary import Bernoulli, bernoulli, log_bernoulli, marginal_logits, precise
from dgmrun.nn.directed import Directed
from dgmrun.protocols.values import Batch, Event


class DBN(nn.Module):
    """A deep belief network; `weights=[RUN,RUN]` starts it from restricted Boltzmann machines, the bottom one first.

    Each machine above the first is trained on hidden units of the one below, which stage `hidden` writes. Untied from
    then on, all weights are tuned by `objective=up_down`. It is sampled by a chain of the machine at its top.

    Args:
        event: event of one example; it must be binary.
        hidden: units of each hidden layer, the one next to x first; at least two layers.
        weight_std: standard deviation of the initial weights.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> dbn = DBN(Event((4,), "binary"), hidden=[3, 2])
        >>> dbn.descend(torch.ones(5, 3))[0].shape
        torch.Size([5, 4])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "filters": ("weight W of the first layer", "hidden unit", "visible unit"),
        "activity": ("q(h_1 = 1 | x)", "example", "hidden unit"),
    }

    def __init__(self, event: Event, hidden: Sequence[int] = (500, 500), weight_std: float = 0.01) -> None:
        super().__init__()
        event.require(("binary",), "a deep belief network")
        is_list = isinstance(hidden, Sequence) and len(hidden) > 1
        if not is_list or not all(type(units) is int and units > 0 for units in hidden):
            raise ValueError(f"`model.hidden` must be a list of sizes above 0, of two layers or more, but is {hidden}")
        self.event = event
        *sizes, last = event.dims, *hidden
        self.rbm = RBM(Event((sizes[-1],), "binary"), last, weight_std)
        directed = [Directed(down, up, weight_std) for down, up in pairwise(sizes)]
        self.layers: Sequence[Directed] = nn.ModuleList(directed)  # type: ignore[assignment]

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the biases of x to the logits of the smoothed means of `x`."""
        self.layers[0].visible_bias.copy_(marginal_logits(x))

    def stack(self) -> list[nn.Module]:
        """The directed layers, the one next to x first, and the machine at the top."""
        return [*self.layers, self.rbm]

    def trace(self, x: Tensor, draw: Draw, context: None = None, local: None = None) -> Trace:
        """Draws h_1 to h_{L-1}; see `Inference`. log p of the last of them lacks minus log Z."""
        q: list[Distribution] = []
        z: list[Tensor] = []
        below = x.flatten(1)
        for place, layer in enumerate(self.layers):
            q.append(Bernoulli(layer.up(below)))
            z.append(below := draw(place, q[-1]))
        first, *further = self.layers
        p = [Bernoulli(layer.down(above)) for layer, above in zip(further, z[1:], strict=True)]
        log_px = log_bernoulli(precise(first.down(z[0])), x.flatten(1))
        return Trace(z, q, [*p, Unnormalised(self.rbm)], log_px)

    @torch.no_grad()
    def top(self, x: Tensor) -> tuple[RBM, Tensor]:
        """The machine at the top, and probabilities of its visible units, propagated up from `x`, [batch, units]."""
        p = x.flatten(1)
        for layer in self.layers:
            p = torch.sigmoid(layer.up(p))
        return self.rbm, p

    @torch.no_grad()
    def descend(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Samples x and all layers below the top, given its visible units z [num, units]; see `Topped`."""
        states = [z]
        for layer in reversed(self.layers):
            states.insert(0, bernoulli(torch.sigmoid(layer.down(states[0]))))
        x, *layers = states
        return x.reshape(-1, *self.event.shape), [layer.unsqueeze(0) for layer in layers]

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Weights of the first layer [units, *event.shape], and probabilities of h_1 given the examples."""
        first = self.layers[0]
        filters = first.weight.t().reshape(-1, *self.event.shape)
        return {"filters": filters, "activity": torch.sigmoid(first.up(batch.x.flatten(1)))}


class Unnormalised(Distribution):
    """log f of a layer as one event, from which log Z is not taken off.

    Args:
        density: an unnormalised density of the layer, with an `event` of shape [units].
    """

    def __init__(self, density: RBM) -> None:
        super().__init__(event_shape=torch.Size(density.event.shape), validate_args=False)
        self.density = density

    def log_prob(self, z: Tensor) -> Tensor:
        """log f of z [samples, batch, units], [samples, batch]."""
        return self.density.log_unnormalised(z.flatten(0, -2)).unflatten(0, z.shape[:-1])
