"""VAEs of strings and of derivations: their probabilities over all strings, their samples, and their bounds."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from dgmrun.estimators.likelihood.importance import Importance
from dgmrun.latent import draws
from dgmrun.models.grammar_vae import GrammarVAE
from dgmrun.models.latent_sequence import LatentSequence
from dgmrun.models.string_vae import StringVAE
from dgmrun.protocols.values import Batch, Event, Evidence

GRAMMAR = "S -> a S | b T S c | a\nT -> d T | "
SMALL = {"latent": 1, "hidden": 6, "embedding": 3}
SHAPES = [(decoder, feedback) for decoder in ("recurrent", "convolutional") for feedback in (True, False)]


def far_from_uniform(model: LatentSequence) -> LatentSequence:
    """A model whose conditionals depend on z and on the symbols before."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7)
    return model.double()


def of_grammar(decoder: str, feedback: bool, encoder: str = "recurrent") -> tuple[LatentSequence, Tensor]:
    """A model of strings of at most 6 tokens, and all strings of its grammar."""
    model = GrammarVAE(Event((7,), "tokens", 5), GRAMMAR, encoder=encoder, decoder=decoder, feedback=feedback, **SMALL)
    derived = [string for string in strings(4, 6) if model.grammar.derives([token for token in string if token])]
    return far_from_uniform(model), torch.tensor(derived)[:, :7]


def of_tokens(decoder: str, feedback: bool, encoder: str = "recurrent") -> tuple[LatentSequence, Tensor]:
    """A model of strings of at most 6 tokens of 2 kinds, and all of them."""
    model = StringVAE(Event((6,), "tokens", 3), encoder=encoder, decoder=decoder, feedback=feedback, **SMALL)
    return far_from_uniform(model), torch.tensor(strings(2, 6))[:, :6]


def strings(kinds: int, most: int) -> list[tuple[int, ...]]:
    """All strings of at most so many tokens, with their ends."""
    every = (each for length in range(most + 1) for each in product(range(1, kinds + 1), repeat=length))
    return [(*each, *[0] * (most + 1 - len(each))) for each in every]


MAKERS = [of_grammar, of_tokens]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("decoder", "feedback"), SHAPES)
def test_given_z_the_probabilities_of_all_strings_sum_to_1(make: type, decoder: str, feedback: bool) -> None:
    model, x = make(decoder, feedback)
    z = torch.randn(3, 1, 1, dtype=torch.float64).expand(3, len(x), 1)
    log_p = model.trace(x, draws.given([z])).log_px
    assert torch.allclose(log_p.logsumexp(1), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert log_p.exp().std(1).min() > 0.005, "some strings are likelier than others"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("decoder", "feedback"), SHAPES)
def test_samples_have_the_probabilities_that_are_told(make: type, decoder: str, feedback: bool) -> None:
    """Each string within 4.5 of its standard errors, and no other; the most probable symbols are one of them."""
    model, x = make(decoder, feedback)
    z, num = torch.full((1, 1), 0.7, dtype=torch.float64), 4000
    drawn, often = torch.unique(model.drawn(z.expand(num, 1)), dim=0, return_counts=True)
    place = (drawn[:, None] == x).all(2)
    assert place.any(1).all()
    p = model.trace(x, draws.given([z.expand(1, len(x), 1)])).log_px[0].exp()
    share = (place * often[:, None]).sum(0) / num
    assert ((share - p).abs() <= 4.5 * (p * (1 - p) / num).sqrt() + 1 / num).all()
    assert (model.decode(z[None])[0] == x).all(1).any()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("encoder", ["recurrent", "convolutional"])
def test_examples_of_a_batch_do_not_see_each_other(make: type, encoder: str) -> None:
    model, x = make("recurrent", True, encoder)
    z = torch.randn(2, len(x), 1, dtype=torch.float64)
    whole = model.trace(x, draws.given([z])).log_w
    single = [model.trace(x[[row]], draws.given([z[:, [row]]])).log_w for row in range(0, len(x), 9)]
    assert torch.allclose(whole[:, ::9], torch.cat(single, 1), atol=1e-9)
    assert torch.allclose(model.guess(x), torch.cat([model.guess(row[None]) for row in x]), atol=1e-9)


@pytest.mark.parametrize("make", MAKERS)
@torch.no_grad()
def test_importance_sampling_finds_p_as_quadrature_does(make: type) -> None:
    """Each example within 4.5 of its standard errors; q is a little off the prior."""
    model, x = make("recurrent", True)
    for parameter in model.encoder.parameters():
        parameter.mul_(0.2)
    x = x[:: max(1, len(x) // 25)]
    grid, num = torch.linspace(-6, 6, 121, dtype=torch.float64), 2000
    log_px = model.trace(x, draws.given([grid[:, None, None].expand(-1, len(x), 1)])).log_px
    p = (log_px + Normal(0.0, 1.0).log_prob(grid)[:, None]).exp().sum(0) * (grid[1] - grid[0])
    batch = Batch(x, torch.arange(len(x)))
    values, _ = Importance(num_samples=num)(model, Evidence(batch, batch))
    error = model.trace(x, draws.sampled(num)).log_w.exp().std(0) / math.sqrt(num)
    assert ((values.exp() - p).abs() <= 4.5 * error).all()
    assert error.max() < 0.05 * p.max()


def test_a_string_is_parsed_once_and_biases_start_at_frequencies() -> None:
    model, x = of_grammar("recurrent", True)
    assert isinstance(model, GrammarVAE)
    model.initialise(x)
    assert len(model.derivations) == len(x)
    model.initialise(x.flip(0))
    assert len(model.derivations) == len(x)
    used = torch.tensor([p for derivation in model.derivations.values() for p in derivation]).bincount() + 0.5
    assert torch.allclose(model.head.bias.exp(), (used / used.sum()).double())


def test_a_copy_of_a_model_parses_as_the_model_does() -> None:
    model, x = of_grammar("recurrent", True)
    assert torch.equal(deepcopy(model).symbols(x).s, model.symbols(x).s)


def test_what_the_grammar_does_not_derive_is_refused_in_a_line() -> None:
    model, _ = of_grammar("recurrent", True)
    with pytest.raises(ValueError, match=r"^`model.grammar` must derive every string, but does not derive ad$"):
        model.symbols(torch.tensor([[1, 4, 0, 0, 0, 0, 0]]))
    with pytest.raises(
        ValueError, match=r"^`dataset.event.shape` must have room for the end .*, but aaaaaaa fills all 7"
    ):
        model.symbols(torch.ones(1, 7, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^`dataset.event.size` must be 1 more than the 4 terminals .*, but is 4$"):
        GrammarVAE(Event((7,), "tokens", 4), GRAMMAR)
    with pytest.raises(ValueError, match=r"^`model.decoder` must be one of recurrent, convolutional, but is dilated$"):
        StringVAE(Event((7,), "tokens", 4), decoder="dilated")


def test_every_sample_of_an_untrained_grammar_vae_parses() -> None:
    model = GrammarVAE(
        Event((14,), "tokens", 12), "S -> S + T | S * T | S / T | T\nT -> ( S ) | sin( S ) | exp( S ) | x | 1 | 2 | 3"
    )
    for row in model.sample(500).tolist():
        assert model.grammar.derives(row[: row.index(0)])
