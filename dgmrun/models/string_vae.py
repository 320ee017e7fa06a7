r"""Variational autoencoder of strings, token by token.

.. math:: p(x, z) = N(z; 0, I) \prod_t p(x_t \mid x_{<t}, z)

References:
    Gomez-Bombarelli et al. (2018), Automatic chemical design using a data-driven continuous representation of
    molecules, https://arxiv.org/abs/1610.02415.
    Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio (2016), Generating sentences from a continuous space,
    https://arxiv.org/abs/1511.06349, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgmrun.models.latent_sequence import LatentSequence, Rules, Symbols
from dgmrun.protocols.values import Event


class StringVAE(LatentSequence):
    """A VAE whose decoder writes tokens, any after any: log p(x) counts up to and including the end.

    Args:
        event: event of one example, tokens.
        latent: number of units of z.
        encoder: `convolutional` or `recurrent`.
        decoder: `recurrent`, of gated recurrent units, or `convolutional`, of dilated ones.
        feedback: whether the decoder reads the token before each step, or z and the number of the step alone.
        hidden: number of units of the layers of both networks.
        layers: number of layers of the decoder; None for one, if it is recurrent, or as many as reach a whole string.
        embedding: size of the learned vector of a token.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> vae = StringVAE(Event((6,), "tokens", 4), latent=2, hidden=5, embedding=3)
        >>> vae.sample(3).shape
        torch.Size([3, 6])
    """

    def __init__(
        self,
        event: Event,
        latent: int = 25,
        encoder: str = "convolutional",
        decoder: str = "recurrent",
        feedback: bool = True,
        hidden: int = 100,
        layers: int | None = None,
        embedding: int = 32,
    ) -> None:
        event.require(("tokens",), "a VAE of strings")
        size = event.size or 0
        super().__init__(event, size, event.dims, latent, encoder, decoder, feedback, hidden, layers, embedding)

    def symbols(self, x: Tensor) -> Symbols:
        """The tokens; see `LatentSequence`."""
        return Symbols(x.flatten(1).long(), self.event.size_of(x).long())

    def strings(self, s: Tensor) -> Tensor:
        """The tokens; see `LatentSequence`."""
        return s.reshape(-1, *self.event.shape)

    def rules(self, num: int) -> Rules:
        """Begins `num` strings, in which any token may follow any but the end."""
        return Free(torch.ones(num, self.head.out_features, dtype=torch.bool, device=self.head.weight.device))


class Free:
    """Strings in which any token may come next until the end.

    Args:
        goes_on: ones [num, tokens].
    """

    def __init__(self, goes_on: Tensor) -> None:
        self.next = goes_on

    def allowed(self) -> Tensor:
        """Whether each token may come next, [num, tokens]."""
        return self.next

    def take(self, s: Tensor) -> bool:
        """Takes the next tokens [num]; returns whether a string goes on."""
        self.next[s == 0, 1:] = False
        return bool(self.next[:, 1:].any())
