r"""Grammar variational autoencoder: a VAE of the leftmost derivations of strings by a context-free grammar.

.. math:: p(x, z) = N(z; 0, I) \prod_t p(s_t \mid s_{<t}, z)

where the s_t are the productions that derive x. Those whose left side is not the leftmost nonterminal are masked, and
so are those after which the string would have to be too long: nothing but strings of the grammar comes out. The
probabilities of all of them with at most as many tokens as leave room for the end sum to 1.

References:
    Kusner, Paige and Hernandez-Lobato (2017), Grammar variational autoencoder, https://arxiv.org/abs/1703.01925,
    section 3, algorithm 1. There, a derivation that is too long is cut off and yields no string.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dgmrun.models.latent_sequence import LatentSequence, Rules, Symbols
from dgmrun.nn.grammar import Grammar
from dgmrun.nn.productions import Derivations, Productions
from dgmrun.protocols.values import Event


class GrammarVAE(LatentSequence):
    """A VAE whose decoder writes productions of a grammar.

    A string is parsed the first time that it is seen, in about 0.1 ms, and its derivation kept.

    Args:
        event: event of one example, tokens, which are the terminals of the grammar.
        grammar: rules, a line each; see `dgmrun.nn.grammar`.
        latent: number of units of z.
        encoder: `convolutional` or `recurrent`, over productions.
        decoder: `recurrent`, of gated recurrent units, or `convolutional`, of dilated ones.
        feedback: whether the decoder reads the production before each step, or z and the number of the step alone.
        hidden: number of units of the layers of both networks.
        layers: number of layers of the decoder; None for one, if it is recurrent, or as many as reach a whole string.
        embedding: size of the learned vector of a production.

    Raises:
        ValueError: a setting is invalid; the message names its key.

    Example:
        >>> vae = GrammarVAE(Event((6,), "tokens", 3), "S -> x + S | x", latent=2, hidden=5, embedding=3)
        >>> vae.sample(3).shape
        torch.Size([3, 6])
    """

    def __init__(
        self,
        event: Event,
        grammar: str | None,
        latent: int = 25,
        encoder: str = "convolutional",
        decoder: str = "recurrent",
        feedback: bool = True,
        hidden: int = 100,
        layers: int | None = None,
        embedding: int = 32,
    ) -> None:
        event.require(("tokens",), "a VAE of strings")
        if grammar is None:
            raise ValueError("`model.grammar` must be the rules of a grammar, as the dataset has none, but is null")
        known, tokens = Grammar(grammar, "model.grammar"), event.dims - 1
        if event.size != len(known.terminals) + 1:
            must = f"`dataset.event.size` must be 1 more than the {len(known.terminals)} terminals of `model.grammar`"
            raise ValueError(f"{must}, but is {event.size}")
        symbols, steps = 1 + len(known.productions), known.longest(tokens)
        super().__init__(event, symbols, steps, latent, encoder, decoder, feedback, hidden, layers, embedding)
        self.grammar, self.tokens = known, tokens
        self.productions = Productions(known, tokens)
        self.derivations: dict[tuple[int, ...], list[int]] = {}

    def symbols(self, x: Tensor) -> Symbols:
        """The productions that derive x; see `LatentSequence`.

        Raises:
            ValueError: the grammar does not derive an example, or it leaves no room for the end.
        """
        found = [self._derivation(tuple(row)) for row in x.flatten(1).tolist()]
        lengths = torch.tensor([len(each) for each in found], device=x.device)
        s = x.new_zeros(len(x), self.steps, dtype=torch.int64)
        s[torch.arange(self.steps, device=x.device) < lengths[:, None]] = s.new_tensor(
            [p for each in found for p in each]
        )
        return Symbols(s, lengths, self.productions.along(s))

    def _derivation(self, tokens: tuple[int, ...]) -> list[int]:
        if tokens not in self.derivations:
            string = list(tokens[: tokens.index(0)] if 0 in tokens else tokens)
            if len(string) > self.tokens:
                must = "`dataset.event.shape` must have room for the end of every string"
                raise ValueError(f"{must}, but {self.grammar.spell(string)} fills all {len(tokens)} places")
            self.derivations[tokens] = self.grammar.derivation(string)
        return self.derivations[tokens]

    def strings(self, s: Tensor) -> Tensor:
        """The tokens that derivations become; see `LatentSequence`."""
        x = s.new_zeros(len(s), self.event.dims)
        for row, derivation in zip(x, s.tolist(), strict=True):
            tokens = self.grammar.tokens(derivation)
            row[: len(tokens)] = s.new_tensor(tokens)
        return x.reshape(-1, *self.event.shape)

    def rules(self, num: int) -> Rules:
        """Begins `num` derivations."""
        return Derivations(self.productions, num)
