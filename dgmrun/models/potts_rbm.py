r"""Restricted Boltzmann machine with Potts (softmax) visible units, each of K classes, and binary hidden units.

.. math:: p(v, h) = \exp\Big(\sum_i a_{i v_i} + \sum_{ij} W_{i v_i j} h_j + \sum_j b_j h_j\Big) / Z

so that :math:`p(v_i = k \mid h)` is the softmax of :math:`a_{ik} + (W h)_{ik}`. With K = 2 it is the binary machine
with the weights :math:`W_{i1j} - W_{i0j}`.

References:
    Salakhutdinov, Mnih and Hinton (2007), Restricted Boltzmann machines for collaborative filtering, equations 1 to 3.
    Tubiana, Cocco and Monasson (2019), Learning protein constitutive motifs from sequence data, for the name.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn.functional import one_hot

from dgmrun.nn.binary import bernoulli, precise
from dgmrun.nn.harmonium import Harmonium
from dgmrun.protocols.values import Batch, Event


class PottsRBM(Harmonium):
    """A restricted Boltzmann machine of classes; levels are taken as classes, their order is not used.

    A Gibbs sweep costs two [D K, H] products; log Z is exact by 2^H states.

    Args:
        event: event of one example; it must be categorical, levels or binary.
        hidden: number of hidden units H.
        weight_std: standard deviation of the initial weights.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> rbm = PottsRBM(Event((4,), "categorical", 5), hidden=3)
        >>> rbm.log_unnormalised(torch.zeros(2, 4, dtype=torch.int64)).shape
        torch.Size([2])
    """

    captions: ClassVar[dict[str, tuple[str, ...]]] = {
        "strengths": ("norm of the weights", "hidden unit", "visible unit"),
        "activity": ("p(h = 1 | x)", "example", "hidden unit"),
    }

    def __init__(self, event: Event, hidden: int = 100, weight_std: float = 0.01) -> None:
        event.require(("categorical", "levels", "binary"), "a Potts RBM")
        classes = event.size or 2
        super().__init__(event, event.dims * classes, hidden, weight_std)
        self.classes = classes
        self.visible_bias = nn.Parameter(torch.zeros(event.dims, self.classes))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the visible biases to logarithms of smoothed frequencies of `x`, so that marginals match if W = 0."""
        self.visible_bias.copy_(self.marginals(x.flatten(1)))

    def statistics(self, v: Tensor) -> Tensor:
        """Which class each unit is of, one-hot, [batch, D, K]."""
        return one_hot(v.long(), self.classes).to(self.weight)

    def inputs(self, t: Tensor) -> Tensor:
        """The same, [batch, D K]."""
        return t.flatten(1)

    def natural(self, field: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the classes, [..., D, K]."""
        return self.visible_bias + field.unflatten(-1, self.visible_bias.shape)

    def marginals(self, v: Tensor) -> Tensor:
        """Logarithms of the smoothed frequencies of the classes; of bits, v may be their probabilities, [D, K]."""
        if self.event.kind == "binary":
            ones = v.sum(0, dtype=torch.float32)
            counts = torch.stack((len(v) - ones, ones), 1)
        else:
            counts = torch.stack([column.long().bincount(minlength=self.classes) for column in v.t()])
        return torch.log((counts + 0.5) / (len(v) + 0.5 * self.classes)).to(self.weight)

    def log_partition(self, eta: Tensor) -> Tensor:
        """Sum over units of the logarithm of the sum of exp(eta) over classes, [...]."""
        return eta.logsumexp(-1).sum(-1)

    def law(self, eta: Tensor) -> Categorical:
        """Categorical distributions, [..., D]."""
        return Categorical(logits=precise(eta), validate_args=False)

    def draw(self, eta: Tensor) -> Tensor:
        """Samples of these, [..., D]: the class with the largest sum of eta and a sample of Gumbel's distribution."""
        found = (eta - torch.empty_like(eta).exponential_().log_()).argmax(-1)
        return found.to(self.weight) if self.event.kind == "binary" else found

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Norms over classes of the weights of each hidden unit [H, *event.shape], whose mean over classes is moved to
        0; and probabilities of h given the examples [batch, H]."""
        weight = self.weight.t().unflatten(1, self.visible_bias.shape)
        strengths = (weight - weight.mean(-1, keepdim=True)).norm(dim=-1)
        return {
            "strengths": strengths.reshape(-1, *self.event.shape),
            "activity": torch.sigmoid(self.hidden_logits(batch.x.flatten(1))),
        }

    @torch.no_grad()
    def means(self, x: Tensor, context: None = None) -> Tensor:
        """p(v = 1 | h) of bits, with h from p(h | x), [num, *event.shape]."""
        h = bernoulli(torch.sigmoid(self.hidden_logits(x.flatten(1))))
        return self.given(h).softmax(-1)[..., 1].reshape(x.shape)
