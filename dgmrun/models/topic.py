r"""Topic model with binary topics: words are drawn independently given which topics a document has.

.. math:: p(z) = \prod_k \alpha_k^{z_k} (1 - \alpha_k)^{1 - z_k}, \qquad
          \log p(x \mid z) = \sum_w x_w \log \mathrm{softmax}(W z + b)_w

x counts the words of a document of L words. The probability is that of their sequence, given L: there is no multinomial
coefficient, so that :math:`\exp(-\log p(x) / L)` is a perplexity. The posterior looks at the mean over words of an
embedding e:

.. math:: q(z \mid x) = \prod_k \mathrm{Bernoulli}\Big(z_k;\ \sigma\big(\mathrm{net}(\tfrac{1}{L} \sum_w x_w e_w)
          \big)_k\Big)

References:
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks,
    https://arxiv.org/abs/1402.0030: sigmoid belief networks of documents.
    Hinton and Salakhutdinov (2009), Replicated softmax: words given binary units.
    Miao, Yu and Blunsom (2016), Neural variational inference for text processing, https://arxiv.org/abs/1511.06038.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.nn.binary import Bernoulli, precise
from dgmrun.nn.mlp import ACTIVATIONS, linear, mlp
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Event

START = 0.1
"""What a learned probability of a topic starts at: few topics of a document are told apart more easily than half."""
QUANTILES = 101
"""Number of lengths of training documents that are kept, each for as many documents."""


class Topic(nn.Module):
    """A topic model. Samples have lengths of training documents, of which 101 quantiles are kept.

    Args:
        event: event of one document: a count of each word.
        topics: number of topics K.
        alpha: probability that a document has a topic; None to learn one for each, from 0.1.
        embedding: size of the embedding of a word.
        width: units of each hidden layer of the net.
        depth: number of hidden layers of the net.
        activation: activation of hidden layers: tanh, relu, elu or softplus.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> topic = Topic(Event((4,), "counts"), topics=3)
        >>> topic.sample(5).sum(1).tolist()
        [100, 100, 100, 100, 100]
    """

    lengths: Tensor
    mean_length: Tensor

    def __init__(
        self,
        event: Event,
        topics: int = 50,
        alpha: float | None = None,
        embedding: int = 100,
        width: int = 100,
        depth: int = 1,
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        event.require(("counts",), "a topic model")
        for key, size, least in (("topics", topics, 1), ("embedding", embedding, 1), ("width", width, 1)):
            check_size(key, size, least)
        check_size("depth", depth, 0)
        check_word("activation", activation, ACTIVATIONS)
        is_number = isinstance(alpha, int | float) and 0 < alpha < 1
        if alpha is not None and not is_number:
            raise ValueError(f"`model.alpha` must be between 0 and 1, or null to learn it, but is {alpha}")
        self.event = event
        start = START if alpha is None else alpha
        log_odds = torch.full((topics,), math.log(start / (1 - start)))
        self.prior = nn.Parameter(log_odds, requires_grad=alpha is None)
        self.words = linear(topics, event.dims)
        self.embedding = nn.Parameter(torch.randn(event.dims, embedding))
        self.net = mlp([embedding, *[width] * depth, topics], activation)
        nn.init.constant_(self.net.get_parameter(f"{2 * depth}.bias"), float(log_odds[0]))
        self.register_buffer("lengths", torch.full((QUANTILES,), 100))
        self.register_buffer("mean_length", torch.tensor(100.0))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets b to the log-frequencies of words in `x`, and keeps quantiles of the lengths of its documents."""
        self.words.bias.copy_(self.event.log_frequencies(x))
        lengths = self.event.size_of(x).sort().values
        middle = (torch.arange(QUANTILES) + 0.5) / QUANTILES
        self.lengths.copy_(lengths[(middle * len(lengths)).long()])
        self.mean_length.copy_(lengths.mean())

    def trace(self, x: Tensor, draw: Draw, context: None = None, local: None = None) -> Trace:
        """Draws z and returns it with all distributions; see `Inference`."""
        counts = x.flatten(1).to(self.embedding)
        mean = counts @ self.embedding / counts.sum(1, keepdim=True).clamp(min=1)
        q = Bernoulli(self.net(mean))
        z = draw(0, q)
        return Trace([z], [q], [Bernoulli(self.prior)], self._log_px(counts, z))

    def _log_px(self, counts: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) [samples, batch], given counts [batch, words] and z [samples, batch, topics]."""
        raised = (z * (counts @ self.words.weight)).sum(-1) + counts @ self.words.bias
        return precise(raised) - counts.sum(1) * precise(self.words(z)).logsumexp(-1)

    def log_frequencies(self, z: Tensor) -> Tensor:
        """log p(w | z) of every word w, [..., words], given z [..., topics]."""
        return precise(self.words(z)).log_softmax(-1)

    def decode(self, z: Tensor, context: None = None) -> Tensor:
        """Means of p(x | z) over the lengths of documents, [samples, batch, *event.shape], given z."""
        return (self.mean_length * self.log_frequencies(z).exp()).unflatten(-1, self.event.shape)

    @torch.no_grad()
    def dream(self, num: int, context: None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples x [num, *event.shape] and z [1, num, topics]; the length is that of some training document."""
        z = Bernoulli(self.prior).sample((1, num))
        length = self.lengths[torch.randint(len(self.lengths), (num, 1), device=z.device)]
        p = self.log_frequencies(z[0]).double().exp()
        share = (p / p.flip(-1).cumsum(-1).flip(-1)).clamp(max=1)  # of what a word and all after it have
        rest, counts = length[:, 0].double(), []
        for of_word in share.unbind(-1):
            counts.append(torch.binomial(rest, of_word))
            rest = rest - counts[-1]
        return torch.stack(counts, -1).long().unflatten(-1, self.event.shape), [z]

    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.dream(num)[0]

    def latent_bits(self) -> int:
        """Number of latent units: there are 2^bits states z."""
        return len(self.prior)

    @torch.no_grad()
    def raised(self) -> Tensor:
        """p log(p / p_0) of every word, [topics, words], where p is that of a topic alone and p_0 that of none."""
        alone = torch.eye(len(self.prior), device=self.prior.device, dtype=self.prior.dtype)
        log_p, log_p0 = self.log_frequencies(alone), self.log_frequencies(torch.zeros_like(alone[0]))
        return log_p.exp() * (log_p - log_p0)
