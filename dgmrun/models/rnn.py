r"""Recurrent network as a density of sequences: of strings, levels, classes, bits, or real vectors.

.. math:: h_t = f(h_{t-1}, x_{t-1}), \qquad p(x) = \prod_t p(x_t \mid h_t)

References:
    Mikolov, Karafiat, Burget, Cernocky and Khudanpur (2010), Recurrent neural network based language model.
    Graves (2013), Generating sequences with recurrent neural networks, https://arxiv.org/abs/1308.0850,
    equations 1 to 8.
"""

from __future__ import annotations

from dgmrun.nn.recurrent import Recurrent
from dgmrun.nn.sequence import AutoregressiveSequence
from dgmrun.protocols.values import Event


class RNN(AutoregressiveSequence):
    """A recurrent density: log p(x) costs as many steps as x has, one after another, and so does a sample.

    Args:
        event: event of one example, [length]; or [length, D], of real vectors.
        cell: `rnn`, `gru` or `lstm`.
        hidden: number of units of each layer.
        layers: number of layers.
        embedding: size of the vector of a token, a level or a class.
        context: event of the context, if any, whose vector is an input of every step.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> rnn = RNN(Event((6,), "tokens", 4), hidden=5)
        >>> rnn.log_prob(rnn.sample(3)).shape
        torch.Size([3])
    """

    def __init__(
        self,
        event: Event,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        embedding: int = 64,
        context: Event | None = None,
    ) -> None:
        super().__init__(event, embedding, context)
        self.network = Recurrent(self.inputs, hidden, layers, cell, self.vector.size)
        self.head = self.outputs()
