"""Context-free grammars against all strings of a few tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from dgmrun.nn.grammar import Grammar

ARITHMETIC = "S -> S + T | S * T | S / T | T\nT -> ( S ) | sin( S ) | exp( S ) | x | 1 | 2 | 3"
EMPTY = "S -> a S | b T S c | a\nT -> d T | "
GRAMMARS = [ARITHMETIC, EMPTY, "S -> x S |", "S -> A x\nA -> B |\nB -> y y"]


def derivations(grammar: Grammar, tokens: int) -> Iterator[tuple[int, ...]]:
    """Every leftmost derivation of at most so many tokens, by trying all productions of the leftmost symbol."""
    waiting: list[tuple[tuple[int, ...], tuple[str, ...]]] = [((), (grammar.start,))]
    while waiting:
        derivation, symbols = waiting.pop()
        place = next((place for place, symbol in enumerate(symbols) if symbol not in grammar.numbers), None)
        if place is None:
            yield derivation
            continue
        for number, (left, right) in enumerate(grammar.productions, 1):
            after = (*symbols[:place], *right, *symbols[place + 1 :])
            if left == symbols[place] and sum(grammar.least[symbol] for symbol in after) <= tokens:
                waiting.append(((*derivation, number), after))


@pytest.mark.parametrize("text", GRAMMARS)
def test_a_string_has_the_one_derivation_that_yields_it_and_no_other_string_has_any(text: str) -> None:
    grammar, most = Grammar(text), 3 if text == ARITHMETIC else 6
    every = list(derivations(grammar, most))
    strings = {tuple(grammar.tokens(derivation)): derivation for derivation in every}
    assert len(strings) == len(every) > 1
    assert max(map(len, every)) == grammar.longest(most)
    assert min(map(len, strings)) == grammar.least[grammar.start]
    for length in range(most + 1):
        for string in product(range(1, len(grammar.terminals) + 1), repeat=length):
            assert grammar.derives(string) == (string in strings)
            if string in strings:
                assert tuple(grammar.derivation(string)) == strings[string]


def test_terminals_are_numbered_as_they_appear_and_the_longest_is_read() -> None:
    grammar = Grammar("S -> C | Cl S | C l S")
    assert grammar.terminals == ["C", "Cl", "l"]
    assert grammar.tokenise("ClC l C") == [2, 1, 3, 1]
    assert grammar.spell([2, 1]) == "ClC"
    assert Grammar("-> l C\nS -> C | Cl S | C l S").terminals == ["l", "C", "Cl"]
    with pytest.raises(ValueError, match="a string must be of C Cl l, but is CxC"):
        grammar.tokenise("CxC")


def test_one_token_more_or_less_is_seen_in_the_longest_derivation() -> None:
    grammar = Grammar(ARITHMETIC)
    assert [grammar.longest(tokens) for tokens in (1, 2, 3, 13)] == [2, 2, 4, 14]
    with pytest.raises(ValueError, match="must derive a string of at most 1 tokens, but derives none"):
        Grammar("S -> a a").longest(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have rules, but is empty"),
        ("S", "must have lines such as S -> S [+] T | T, but has S"),
        ("S T -> x", "must have lines such as"),
        ("S ->", "must have terminals"),
        ("S -> S x", "must derive a string from each symbol, but derives none from S"),
        ("S -> x\nT -> x", "must reach every symbol from S, but does not reach T"),
        ("S -> A | x\nA -> S", "must have no symbol that becomes itself alone, but has S"),
        ("S -> S S | x", "must have rules without LALR.1. conflicts, but has some in those of S"),
        ("S -> x | T\nT -> x", "must have rules without LALR.1. conflicts"),
        ("S -> x | x", "must have rules without LALR.1. conflicts"),
    ],
)
def test_what_is_no_grammar_is_refused_in_a_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^`dataset.grammar` {message}") as caught:
        Grammar(text)
    assert "\n" not in str(caught.value)
