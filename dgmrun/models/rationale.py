r"""Rationale: a classifier that reads only some words of a text, those that a latent mask z keeps.

.. math:: p(y, z \mid x) = p(y \mid x \odot z) \prod_t p(z_t \mid x), \qquad
          p(z_t = 1 \mid x) = \sigma(a_t(x)), \qquad
          p(y \mid x \odot z) = \mathrm{softmax}\Big(f\Big(\frac{\sum_t z_t e(x_t)}{\max(1, \sum_t z_t)}\Big)\Big)_y

with vectors e of words, log-odds a by a network of the vectors of a word and its neighbours, and a network f of the
mean of those that are kept, as in a deep averaging network. The posterior is the prior, q(z | x, y) = p(z | x): the
ELBO is E[log p(y | x, z)], and all estimators of its gradient train the mask but wake-sleep, which gives its network no
gradient in the mean.
Training also pays for the mask:

.. math:: c(z) = \lambda_1 \sum_t z_t + \lambda_2 \sum_t |z_t - z_{t-1}|

in nats, which is no part of any likelihood.

References:
    Lei, Barzilay and Jaakkola (2016), Rationalizing neural predictions, https://arxiv.org/abs/1606.04155, section 4.
    Bastings, Aziz and Titov (2019), Interpretable neural predictions with differentiable binary variables,
    https://arxiv.org/abs/1905.08160, section 2.
    Iyyer, Manjunatha, Boyd-Graber and Daume (2015), Deep unordered composition rivals syntactic methods for text
    classification, section 3: the network f.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dgmrun.latent.draws import Draw, sampled
from dgmrun.latent.trace import Trace
from dgmrun.nn.binary import Bernoulli, bernoulli
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Event

MASKS = ("learned", "all", "random")
CERTAIN = 100.0
"""Log-odds of what is certain: that a word is kept where all are, and that padding is not."""
INITIAL = 0.1
"""Standard deviation of the vectors at the start: small, as that of words that are never seen stays what it is."""


class Rationale(nn.Module):
    """Classes of texts, and the words by which they are told.

    Use `objective=nvil` or `vimco`. Samples of z are cheap: each costs the network f alone.

    Args:
        event: event of the label: one class.
        context: event of the text: words, of which 0 is the end.
        mask: `learned`; `all` for a classifier of whole texts; `random` for a control, which keeps any word with
            probability `share`.
        share: probability that a word is kept by a random mask.
        sparsity: cost of each word that is kept, in nats.
        coherence: cost of each change between neighbours of which one is kept, in nats.
        width: length of the vectors of words.
        hidden: number of hidden units of f, and of the network of the mask.
        window: number of words by which a word is chosen, itself in the middle, odd.
        dropout: probability with which entries of the mean and hidden units of f are left out in training.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> rationale = Rationale(Event((), "categorical", 2), Event((3,), "tokens", 9))
        >>> mask, probability, log_p = rationale.read(torch.tensor([[4, 7, 0]]))
        >>> mask[0, 2].item(), log_p.shape
        (0.0, torch.Size([1, 2]))
    """

    def __init__(
        self,
        event: Event,
        context: Event,
        mask: str = "learned",
        share: float = 0.3,
        sparsity: float = 0.01,
        coherence: float = 0.0,
        width: int = 100,
        hidden: int = 100,
        window: int = 5,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        _check_data(event, context)
        check_word("mask", mask, MASKS)
        for key, size in (("width", width), ("hidden", hidden), ("window", window)):
            check_size(key, size, 1)
        _check_numbers(share, window, dropout, {"sparsity": sparsity, "coherence": coherence})
        self.event, self.context, self.mask = event, context, mask
        self.share, self.sparsity, self.coherence = share, sparsity, coherence
        self.window = window
        self.embedding = nn.Embedding(context.size or 0, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight[1:], std=INITIAL)
        first, last = nn.Linear(width, hidden), nn.Linear(hidden, event.size or 0)
        self.classifier = nn.Sequential(nn.Dropout(dropout), first, nn.ReLU(), nn.Dropout(dropout), last)
        if mask == "learned":
            self.selector = nn.Sequential(nn.Linear(width * window, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def trace(self, x: Tensor, draw: Draw, context: Tensor | None = None, local: None = None) -> Trace:
        """Draws z [samples, batch, length] and returns it with its distribution and its cost; see `Inference`."""
        text = _text(context)
        q = self._mask(text)
        z = draw(0, q).to(q.logits)
        label = x.reshape(1, -1, 1).expand(len(z), -1, -1)
        log_px = self._log_classes(z, text).gather(-1, label).squeeze(-1)
        return Trace([z], [q], [q], log_px, self._cost(z, text))

    def _mask(self, text: Tensor) -> Bernoulli:
        """p(z | x), [batch, length]; padding is never kept."""
        words, log_odds = text != 0, self.embedding.weight.new_full(text.shape, -CERTAIN)
        if self.mask == "learned":
            windows = pad(text, (self.window // 2, self.window // 2)).unfold(1, self.window, 1)
            log_odds[words] = self.selector(self.embedding(windows[words]).flatten(1)).squeeze(-1).to(log_odds)
        else:
            log_odds[words] = CERTAIN if self.mask == "all" else math.log(self.share / (1 - self.share))
        return Bernoulli(log_odds)

    def _log_classes(self, z: Tensor, text: Tensor) -> Tensor:
        """log p(y | x, z) of every class, [samples, batch, classes]."""
        kept = z * (text != 0)
        mean = torch.einsum("sbt,btw->sbw", kept, self.embedding(text)) / kept.sum(-1, keepdim=True).clamp(min=1)
        return self.classifier(mean).log_softmax(-1)

    def _cost(self, z: Tensor, text: Tensor) -> Tensor:
        """Cost of masks in training, in nats, [samples, batch]."""
        words = text != 0
        changes = (z.diff(dim=-1).abs() * words[:, 1:]).sum(-1)
        return self.sparsity * (z * words).sum(-1) + self.coherence * changes

    @torch.no_grad()
    def read(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The likelier value of each z_t or, of a random mask, a draw; p(z_t = 1 | x); and log p(y | x, z)."""
        probability = self._mask(context).probs * (context != 0)
        z = bernoulli(probability) if self.mask == "random" else (probability > 0.5).to(probability)
        return z, probability, self._log_classes(z.unsqueeze(0), context)[0]

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The most probable class [samples, batch, *event.shape], as a class has no mean."""
        return self._log_classes(z, _text(context)).argmax(-1).unflatten(-1, (-1, *self.event.shape))

    @torch.no_grad()
    def dream(self, num: int, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Classes [num, *event.shape] drawn for each text, and masks [1, num, length]."""
        text = _text(context)
        z = sampled(1)(0, self._mask(text))
        y = torch.multinomial(self._log_classes(z, text)[0].exp(), 1)
        return y.reshape(-1, *self.event.shape), [z]

    def sample(self, num: int, context: Tensor | None = None) -> Tensor:
        """Classes [num, *event.shape] drawn for each text."""
        return self.dream(num, context)[0]

    def latent_bits(self) -> int:
        """Number of latent units, one for each place of the longest text."""
        return self.context.dims


def _text(context: Tensor | None) -> Tensor:
    assert context is not None, "a classifier is given what it classifies"
    return context


def _check_data(event: Event, context: Event) -> None:
    if event.kind != "categorical" or event.dims != 1 or context.kind != "tokens":
        raise ValueError(
            "`given` must be x for a rationale, of a dataset of texts with one class each, as dataset=sst, but "
            f"{event.kind} data are given {context.kind} data"
        )


def _check_numbers(share: float, window: int, dropout: float, costs: dict[str, float]) -> None:
    if not 0 < share < 1:
        raise ValueError(f"`model.share` must be above 0 and below 1, but is {share}")
    if window % 2 == 0:
        raise ValueError(f"`model.window` must be odd, but is {window}")
    for key, cost in costs.items():
        if not cost >= 0:
            raise ValueError(f"`model.{key}` must be at least 0, but is {cost}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`model.dropout` must be at least 0 and below 1, but is {dropout}")
