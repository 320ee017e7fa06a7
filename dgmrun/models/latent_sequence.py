r"""Variational autoencoders of strings of symbols s, which are tokens or what tokens follow from.

.. math:: p(x, z) = N(z; 0, I) \prod_t p(s_t \mid s_{<t}, z), \qquad q(z \mid x) = N(z; \mu(x), \sigma^2(x))

Without feedback, the decoder reads z alone, and steps are independent given it, but for what may come next.

References:
    Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio (2016), Generating sentences from a continuous space,
    https://arxiv.org/abs/1511.06349, section 3: recurrent decoders that read the words before.
    Gomez-Bombarelli et al. (2018), Automatic chemical design using a data-driven continuous representation of
    molecules, https://arxiv.org/abs/1610.02415.
    Yang, Hu, Salakhutdinov and Berg-Kirkpatrick (2017), Improved variational autoencoders for text modeling using
    dilated convolutions, https://arxiv.org/abs/1702.08139.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn.functional import pad

from dgmrun.latent.draws import Draw
from dgmrun.latent.trace import Trace
from dgmrun.nn.binary import precise
from dgmrun.nn.causal_network import CausalNetwork, packed, padded
from dgmrun.nn.dilated import Dilated
from dgmrun.nn.gaussian import normal, standard_normal
from dgmrun.nn.hmc import PosteriorPath
from dgmrun.nn.recurrent import Recurrent
from dgmrun.nn.sequence_encoder import ENCODERS
from dgmrun.nn.settings import check_size, check_word
from dgmrun.protocols.values import Event

DECODERS = ("recurrent", "convolutional")
EXAMPLES = 5000
"""Number of examples, about, that a model starts from."""
KERNEL = 3
"""Steps that a dilated convolution reads."""


class Symbols(NamedTuple):
    """Examples as strings of symbols.

    Args:
        s: symbols [batch, steps], 0 beyond the last.
        lengths: number of symbols that have a part in p, [batch].
        allowed: which symbols may stand at each step, given those before it, [batch, steps, symbols]; None if all may.
    """

    s: Tensor
    lengths: Tensor
    allowed: Tensor | None = None


class Rules(Protocol):
    """What may come next in strings that are written one symbol after another."""

    def allowed(self) -> Tensor:
        """Whether each symbol may come next, [num, symbols]; 0 alone where a string has ended."""

    def take(self, s: Tensor) -> bool:
        """Takes the next symbols [num]; returns whether a string goes on."""


class LatentSequence(nn.Module, ABC):
    """A variational autoencoder of strings.

    Args:
        event: event of one example, tokens [length].
        symbols: number of symbols, of which 0 is the end or padding.
        steps: largest number of symbols of an example.
        latent: number of units of z.
        encoder: `convolutional` or `recurrent`.
        decoder: `recurrent`, of gated recurrent units, or `convolutional`, of dilated ones.
        feedback: whether the decoder reads the symbol before each step; else it reads the number of the step.
        hidden: number of units of the layers of both networks.
        layers: number of layers of the decoder; None for one, if it is recurrent, or as many as reach a whole string.
        embedding: size of the learned vector of a symbol.

    Raises:
        ValueError: a setting is invalid; the message names its key.
    """

    is_local = False

    def __init__(
        self,
        event: Event,
        symbols: int,
        steps: int,
        latent: int,
        encoder: str,
        decoder: str,
        feedback: bool,
        hidden: int,
        layers: int | None,
        embedding: int,
    ) -> None:
        super().__init__()
        check_word("encoder", encoder, ENCODERS)
        check_word("decoder", decoder, DECODERS)
        for key, size in (("latent", latent), ("hidden", hidden), ("embedding", embedding)):
            check_size(key, size, 1)
        if layers is not None:
            check_size("layers", layers, 1)
        self.event, self.latent, self.steps, self.feedback = event, latent, steps, feedback
        self.encoder = ENCODERS[encoder](symbols, steps, hidden, embedding, 2 * latent)
        self.units = nn.Embedding(symbols if feedback else steps, embedding)
        self.network = _decoder(decoder, embedding, hidden, layers, latent, steps)
        self.head = nn.Linear(self.network.features, symbols)

    @abstractmethod
    def symbols(self, x: Tensor) -> Symbols:
        """Examples x [batch, *event.shape] as strings of symbols."""

    @abstractmethod
    def strings(self, s: Tensor) -> Tensor:
        """Strings of symbols [num, steps] as examples [num, *event.shape]."""

    @abstractmethod
    def rules(self, num: int) -> Rules:
        """Begins `num` strings."""

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets the decoder's output biases to the frequencies of symbols in some of `x`."""
        s, lengths, _ = self.symbols(x[:: max(1, len(x) // EXAMPLES)])
        count = packed(s, lengths).data.bincount(minlength=len(self.head.bias))
        self.head.bias.copy_((count + 0.5).log() - (count + 0.5).sum().log())

    def trace(self, x: Tensor, draw: Draw, context: None = None, local: Tensor | None = None) -> Trace:
        """Draws z and returns it with all distributions; see `Inference`."""
        seen = self.symbols(x)
        q = normal(self.encoder(seen.s, seen.lengths) if local is None else local)
        z = draw(0, q)
        return Trace([z], [q], [standard_normal(z)], self._log_likelihood(seen, z))

    def guess(self, x: Tensor, context: None = None) -> Tensor:
        """Means and log standard deviations of the encoder, [batch, 2 * units], from which local posteriors start."""
        s, lengths, _ = self.symbols(x)
        found: Tensor = self.encoder(s, lengths)
        return found

    def _log_likelihood(self, seen: Symbols, z: Tensor) -> Tensor:
        """log p(x | z) [samples, batch], given z [samples, batch, units]."""
        num, batch = z.shape[:2]
        lengths = seen.lengths.repeat(num)

        def steps(values: Tensor) -> Tensor:
            return packed(values.expand(num, *values.shape).flatten(0, 1), lengths).data

        inputs = packed(self._inputs(seen.s).expand(num, batch, -1, -1).flatten(0, 1), lengths)
        logits = self.head(self.network(inputs, z.flatten(0, 1)))
        log_p = _conditional(logits, None if seen.allowed is None else steps(seen.allowed)).log_prob(steps(seen.s))
        return padded(log_p, inputs).sum(1).unflatten(0, (num, batch))

    def _inputs(self, s: Tensor) -> Tensor:
        """Inputs of the decoder at all steps of strings s [batch, steps], [batch, steps, inputs]."""
        places = torch.arange(s.shape[1], device=s.device).expand_as(s)
        found: Tensor = self.units(pad(s[:, :-1], (1, 0)) if self.feedback else places)
        return found

    @torch.no_grad()
    def _written(self, z: Tensor, choose: Callable[[Categorical], Tensor]) -> Tensor:
        """Strings [num, *event.shape] given z [num, units], each symbol of which is chosen from its conditional."""
        step, rules = self.network.cached(len(z), z), self.rules(len(z))
        s = torch.zeros(len(z), self.steps, dtype=torch.int64, device=z.device)
        for t in range(self.steps):
            before = s[:, t - 1] if t else torch.zeros_like(s[:, 0])
            inputs = self.units(before if self.feedback else torch.full_like(before, t))
            s[:, t] = choose(_conditional(self.head(step(inputs)), rules.allowed()))
            if not rules.take(s[:, t]):
                break
        return self.strings(s)

    def decode(self, z: Tensor, context: None = None) -> Tensor:
        """The string of the most probable symbol at each step [samples, batch, *event.shape], given z."""
        found = self._written(z.flatten(0, 1), lambda conditional: conditional.logits.argmax(-1))
        return found.unflatten(0, z.shape[:2])

    def drawn(self, z: Tensor) -> Tensor:
        """Samples x of p(x | z) [num, *event.shape], given z [num, units]."""
        return self._written(z, Categorical.sample)

    def dream(self, num: int, context: None = None) -> tuple[Tensor, list[Tensor]]:
        """Ancestral samples: x [num, *event.shape], and z [1, num, units]."""
        z = self._prior(1, num)
        return self.drawn(z[0]), [z]

    def sample(self, num: int, context: None = None) -> Tensor:
        """Independent samples x [num, *event.shape]."""
        return self.dream(num)[0]

    def _prior(self, samples: int, num: int) -> Tensor:
        return self.head.weight.new_empty(samples, num, self.latent).normal_()

    def posterior_path(self, x: Tensor, context: None = None) -> PosteriorPath:
        """Path from p(z) to p(z|x); a state is [chains, batch, units]."""
        seen = self.symbols(x)
        return PosteriorPath(
            lambda z: standard_normal(z).log_prob(z).sum(-1),
            lambda z: self._log_likelihood(seen, z),
            lambda num: self._prior(num, len(x)),
        )


def _decoder(word: str, inputs: int, hidden: int, layers: int | None, latent: int, steps: int) -> CausalNetwork:
    if word == "recurrent":
        return Recurrent(inputs, hidden, layers or 1, "gru", latent)
    reaching = max(1, math.ceil(math.log2((steps - 1) / (KERNEL - 1) + 1)))  # 1 + (k - 1)(2^layers - 1) >= steps
    return Dilated(inputs, hidden, 1, layers or reaching, KERNEL, hidden, latent)


def _conditional(logits: Tensor, allowed: Tensor | None) -> Categorical:
    """p(s_t | s_<t, z) of steps, [steps]."""
    masked = precise(logits) if allowed is None else precise(logits).masked_fill(~allowed, -math.inf)
    return Categorical(logits=masked, validate_args=False)
