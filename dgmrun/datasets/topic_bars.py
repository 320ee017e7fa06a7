r"""Bars as topics: words are the pixels of a square, topics its rows and columns; a document has each by a coin.

.. math:: z_k \sim \mathrm{Bernoulli}(\alpha), \qquad p(w \mid z) \propto \exp\Big(s \sum_k z_k B_{kw}\Big)

where B_kw says whether pixel w is in bar k. It is a topic model of which everything is known.

References:
    Griffiths and Steyvers (2004), Finding scientific topics, figure 2, with other proportions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

LARGEST = 16


def bars(side: int) -> Tensor:
    """Returns B [2 side, side^2]: the rows of the square, and then its columns, 1 in the bar and 0 elsewhere."""
    rows = torch.eye(side).repeat_interleave(side, 1)
    return torch.cat((rows, rows.unflatten(1, (side, side)).transpose(1, 2).flatten(1)))


def event(sizes: Sequence[int], side: int, alpha: float, strength: float, length: int) -> Event:
    """Returns the event: a count of each of side^2 words.

    Raises:
        Mistake: a setting is none that documents can have.
    """
    if type(side) is not int or not 1 <= side <= LARGEST:
        raise Mistake(f"`dataset.side` must be from 1 to {LARGEST}, but is {side}")
    if not 0 <= alpha <= 1:
        raise Mistake(f"`dataset.alpha` must be from 0 to 1, but is {alpha}")
    if type(length) is not int or length < 1:
        raise Mistake(f"`dataset.length` must be a whole number of at least 1, but is {length}")
    return Event((side**2,), "counts")


def load(data_dir: Path, sizes: Sequence[int], side: int, alpha: float, strength: float, length: int) -> Splits:
    """Draws x [N, side^2], int64.

    Args:
        data_dir: unused.
        sizes: number of documents in train, valid and test.
        side: side of the square in pixels.
        alpha: probability of each topic.
        strength: what a topic adds to the log-odds of its words, in nats.
        length: number of words of a document.
    """
    words = event(sizes, side, alpha, strength, length).dims

    def draw(size: int) -> Split:
        z = (torch.rand(size, 2 * side) < alpha).float()
        word = torch.multinomial((strength * z @ bars(side)).softmax(1), length, replacement=True)
        return Split(
            torch.zeros(size, words, dtype=torch.int64).scatter_add_(1, word, torch.ones_like(word)),
            column="word {}".format,
        )

    return drawn("topic_bars", sizes, draw)
