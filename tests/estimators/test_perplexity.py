"""Perplexities against closed forms, and their error bars against the bootstrap."""

from __future__ import annotations

import math

import pytest
import torch

from dgmrun.estimators.density import log_likelihood
from dgmrun.estimators.marginal import lower_bound
from dgmrun.estimators.perplexity import perplexities
from dgmrun.protocols.values import Estimate, Event
from dgmrun.protocols.words import unigram

LOG_Z = Estimate("log_z", 0.0, 0.0, (0.0, 0.0), "exact", "none")
COUNTS = Event((4,), "counts")
STRINGS = Event((4,), "tokens", 4)


def documents(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Lengths, and log-probabilities that grow with them."""
    sizes = torch.randint(5, 200, (number,)).double()
    return sizes, -sizes * (3 + 0.3 * torch.randn(number, dtype=torch.float64))


def test_of_equally_likely_words_it_is_their_number() -> None:
    sizes = torch.tensor([1.0, 7.0, 300.0], dtype=torch.float64)
    log_p = -sizes * math.log(4)
    for found in perplexities(log_p, log_likelihood(log_p, LOG_Z), sizes, log_p).values():
        assert found.value == pytest.approx(4)
        assert found.standard_error == pytest.approx(0, abs=1e-12)
        assert found.diagnostics == {"unigram": pytest.approx(4)}


def test_it_is_that_of_the_definition() -> None:
    """Per document: the mean of exponents; per corpus: the exponent of sums."""
    sizes, log_p = documents(50)
    of_unigram = -sizes * math.log(30)
    document, corpus = perplexities(log_p, log_likelihood(log_p, LOG_Z), sizes, of_unigram).values()
    assert document.value == pytest.approx(math.exp(-float((log_p / sizes).mean())))
    assert corpus.value == pytest.approx(math.exp(-float(log_p.sum() / sizes.sum())))
    assert (document.settings["per"], corpus.settings["per"]) == ("document", "corpus")
    assert document.settings["unigram_smoothing"] == 0.1


def test_its_standard_errors_are_those_of_the_bootstrap() -> None:
    """That of 4,000 resamples is known to 4 sqrt(1 / 8,000), 4.5 %, and the delta method errs by less than 3 % here."""
    sizes, log_p = documents(400)
    document, corpus = perplexities(log_p, log_likelihood(log_p, LOG_Z), sizes, log_p).values()
    again = torch.randint(400, (4_000, 400))
    of_documents = (-(log_p / sizes)[again].mean(1)).exp()
    of_corpora = (-log_p[again].sum(1) / sizes[again].sum(1)).exp()
    assert document.standard_error == pytest.approx(float(of_documents.std()), rel=0.075)
    assert corpus.standard_error == pytest.approx(float(of_corpora.std()), rel=0.075)


def test_of_a_lower_bound_it_is_an_upper_one() -> None:
    sizes, log_p = documents(30)
    for found in perplexities(log_p, lower_bound(log_p, {}), sizes, log_p).values():
        assert (found.kind, found.bias, found.quantity, found.unit) == ("upper_bound", "up", "perplexity", "words")
        low, high = found.interval or (0, None)
        assert low is None
        assert high is not None
        assert high > found.value
    exact = perplexities(log_p, log_likelihood(log_p, LOG_Z), sizes, log_p)[""]
    low, high = exact.interval or (None, None)
    assert exact.kind == "exact"
    assert low is not None
    assert high is not None
    assert low < exact.value < high


def test_an_uncertain_partition_function_widens_it() -> None:
    """log Z adds its error over the mean length, squared, to that of the mean."""
    sizes, log_p = documents(100)
    uncertain = log_likelihood(log_p, Estimate("log_z", 0.0, 2.0, (-6.0, 6.0), "estimate", "none"))
    pairs = [perplexities(log_p, one, sizes, log_p)["-corpus"] for one in (log_likelihood(log_p, LOG_Z), uncertain)]
    narrow, wide = ((one.standard_error or 0) / one.value for one in pairs)
    assert wide**2 - narrow**2 == pytest.approx((2.0 / float(sizes.mean())) ** 2)


def test_its_interval_has_that_of_the_partition_function_in_it() -> None:
    """log Z between 10 below and 3 above, 100 like documents of 10 words: within exp(-10 / 10) and exp(3 / 10)."""
    sizes = torch.full((100,), 10.0, dtype=torch.float64)
    log_p = log_likelihood(-3 * sizes, Estimate("log_z", 0.0, 1.0, (-10.0, 3.0), "estimate", "none"))
    for found in perplexities(-3 * sizes, log_p, sizes, -3 * sizes).values():
        assert found.standard_error == pytest.approx(math.exp(3) / 10)
        assert found.interval == (pytest.approx(math.exp(3 - 1)), pytest.approx(math.exp(3 + 0.3)))


def test_documents_without_a_word_are_left_out_and_counted() -> None:
    sizes, log_p = documents(30)
    more, none = torch.cat([sizes, torch.zeros(2).double()]), torch.cat([log_p, torch.zeros(2).double()])
    full = perplexities(log_p, log_likelihood(log_p, LOG_Z), sizes, log_p)
    part = perplexities(none, log_likelihood(none, LOG_Z), more, none)
    for name, found in part.items():
        assert found.value == pytest.approx(full[name].value)
        assert found.standard_error == pytest.approx(full[name].standard_error)
        assert found.interval == pytest.approx(full[name].interval)
        assert found.diagnostics == pytest.approx(full[name].diagnostics)
        assert found.warnings == ["without 2 empty examples"]
    assert perplexities(none[30:], log_likelihood(none[30:], LOG_Z), more[30:], none[30:]) == {}


def test_one_document_has_no_error_bar_and_no_perplexity_overflows() -> None:
    sizes, log_p = torch.ones(1, dtype=torch.float64), torch.full((1,), -1e6, dtype=torch.float64)
    found = perplexities(log_p, lower_bound(log_p, {}), sizes, log_p)[""]
    assert found.standard_error is None
    assert found.interval is None
    assert math.isfinite(found.value)
    many = perplexities(log_p.expand(9), log_likelihood(log_p.expand(9), LOG_Z), sizes.expand(9), log_p.expand(9))
    assert many[""].standard_error is None
    assert many[""].warnings == ["it is above exp(700)"]
    assert math.isfinite(found.diagnostics["unigram"] or 0)


def test_the_unigram_of_counts_and_of_strings() -> None:
    """0.1 is added to each count; the end of a string is a word, what follows is not."""
    x = torch.tensor([[3, 0, 1, 0], [0, 0, 2, 0]])
    share = torch.tensor([3.1, 0.1, 3.1, 0.1], dtype=torch.float64) / 6.4
    log_p = COUNTS.log_frequencies(x)
    torch.testing.assert_close(log_p, share.log())
    torch.testing.assert_close(unigram(COUNTS, x, log_p), x.double() @ share.log())
    strings = torch.tensor([[1, 2, 0, 0], [3, 1, 1, 2]])
    share = torch.tensor([1.1, 3.1, 2.1, 1.1], dtype=torch.float64) / 7.4
    log_p = STRINGS.log_frequencies(strings)
    torch.testing.assert_close(log_p, share.log())
    expected = torch.stack([log_p[[1, 2, 0]].sum(), log_p[[3, 1, 1, 2]].sum()])
    torch.testing.assert_close(unigram(STRINGS, strings, log_p), expected)
