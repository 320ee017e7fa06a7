r"""A Markov chain of K states that stays where it is or goes to any other state alike, whose entropy is known.

.. math::  p(x_1) = \frac{1}{K}, \qquad
           p(x_t \mid x_{t-1}) = \begin{cases} 1 - f & x_t = x_{t-1} \\ f / (K - 1) & \text{otherwise} \end{cases}

with the probability f of a flip. The uniform distribution is stationary. The entropy of T steps is log K + (T - 1) h,
with the entropy rate

.. math::  h = -(1 - f) \log (1 - f) - f \log f + f \log (K - 1)

nats a step. No model has an expected log-likelihood above minus the entropy, and one of independent steps has at most
-T log K.

References:
    Shannon (1948), A mathematical theory of communication, Bell System Technical Journal 27, section 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from dgmrun.data.splits import Split, Splits
from dgmrun.data.synthetic import drawn_in_time
from dgmrun.errors import Mistake
from dgmrun.protocols.values import Event

MOST = 256
"""Largest number of states, which a byte holds."""


def load(data_dir: Path, sizes: Sequence[int], length: int, states: int, flip: float) -> Splits:
    """Draws x [N, length], classes from 0 to `states` - 1.

    Args:
        data_dir: unused.
        sizes: number of sequences in train, valid and test.
        length: number of steps T of a sequence.
        states: number of states K.
        flip: probability f that a step goes to another state.
    """
    event(sizes, length, states, flip)

    def draw(size: int) -> Split:
        first = torch.randint(states, (size, 1))
        steps = torch.randint(1, states, (size, length - 1)) * (torch.rand(size, length - 1) < flip)
        return Split((torch.cat((first, steps), 1).cumsum(1) % states).to(torch.uint8))

    return drawn_in_time("markov", sizes, draw, entropy(length, states, flip), rate(states, flip))


def event(sizes: Sequence[int], length: int, states: int, flip: float) -> Event:
    """Returns the event of x: `length` classes.

    Raises:
        Mistake: a setting is out of range.
    """
    if type(length) is not int or length < 1:
        raise Mistake(f"`dataset.length` must be a whole number of at least 1, but is {length}")
    if type(states) is not int or not 2 <= states <= MOST:
        raise Mistake(f"`dataset.states` must be a whole number from 2 to {MOST}, but is {states}")
    if not 0 <= flip <= 1:
        raise Mistake(f"`dataset.flip` must be from 0 to 1, but is {flip}")
    return Event((length,), "categorical", states)


def rate(states: int, flip: float) -> float:
    """Returns the entropy rate h, in nats a step."""
    return flip * math.log(states - 1) - sum(p * math.log(p) for p in (flip, 1 - flip) if p)


def entropy(length: int, states: int, flip: float) -> float:
    """Returns the entropy of a sequence, in nats."""
    return math.log(states) + (length - 1) * rate(states, flip)
