r"""Words of documents and strings, and the unigram: the model to which each word is a draw of its own.

.. math:: p(w) = \frac{n_w + 0.1}{\sum_v (n_v + 0.1)}, \qquad \log p(x) = \sum_w x_w \log p(w)

where n_w counts word w in training examples, and x_w in an example. Of strings, the end is a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dgmrun.protocols import sparse

if TYPE_CHECKING:
    from torch import Tensor

    from dgmrun.protocols.values import Event

KINDS = ("counts", "tokens")
"""Kinds of events that have words."""
SMOOTHING = 0.1
"""Added to the count of every word, so that none has probability 0."""


def lengths(event: Event, x: Tensor) -> Tensor:
    """Returns the number of words of each example, the end of a string included, float64 [examples]."""
    if event.kind == "counts":
        return sparse.sums(x)[0]
    return (x.reshape(len(x), -1).ne(0).cumprod(1).sum(1) + 1).clamp(max=event.dims).double()


def log_frequencies(event: Event, x: Tensor) -> Tensor:
    """Returns log p(w) of every word, from examples x, float64 [words]."""
    if event.kind == "counts":
        count = sparse.sums(x)[1]
    else:
        count = x.reshape(len(x), -1)[_inside(event, x)].long().bincount(minlength=event.size or 0).double()
    smooth = count + SMOOTHING
    return (smooth / smooth.sum()).log()


def unigram(event: Event, x: Tensor, log_p: Tensor) -> Tensor:
    """Returns log p(x) of each example by the unigram of these log-frequencies, float64 [examples]."""
    if event.kind == "counts":
        return (x if sparse.is_sparse(x) else x.flatten(1)).double() @ log_p
    return (log_p[x.reshape(len(x), -1).long()] * _inside(event, x)).sum(1)


def _inside(event: Event, x: Tensor) -> Tensor:
    """Returns whether each place of a string is a word or the end, [examples, dims]."""
    import torch

    return torch.arange(event.dims, device=x.device) < lengths(event, x).unsqueeze(1)
