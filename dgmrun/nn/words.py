"""Frequencies of words in documents, of which x counts the words."""

from __future__ import annotations

from torch import Tensor

from dgmrun.protocols.sparse import sums

SMOOTHING = 0.1
"""Added to the count of every word, so that none has probability 0."""


def log_frequencies(x: Tensor) -> Tensor:
    """Returns log (n_w + 0.1) / sum (n_w + 0.1), float64 [dims], where n_w is how often a word is in documents x."""
    count = sums(x)[1] + SMOOTHING
    return (count / count.sum()).log()
