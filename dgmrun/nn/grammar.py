r"""Context-free grammars: strings of tokens, their leftmost derivations, and which productions may come next.

A grammar is text, a rule a line, with white space between symbols; the left side of the first is the start:

    S -> S + T | S * T | T
    T -> ( S ) | x | 1

A symbol without a rule is a terminal. Terminals are tokens, numbered from 1 in the order in which they appear, as are
the productions, each an alternative of a rule. 0 is the end of either. A line `-> x 1 ...` before the rules has the
terminals in another order.

Parsing is LALR(1) (DeRemer and Pennello, 1982, Efficient computation of LALR(1) look-ahead sets). A grammar without
conflicts is unambiguous: a string has one derivation.

References:
    Kusner, Paige and Hernandez-Lobato (2017), Grammar variational autoencoder, https://arxiv.org/abs/1703.01925,
    sections 2.2 and 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from lark import Lark, Token
from lark.exceptions import GrammarError, UnexpectedInput
from lark.lexer import Lexer

from dgmrun.protocols.language import Language


class Production(NamedTuple):
    """A rule by which a nonterminal symbol becomes others."""

    left: str
    right: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.left} -> {' '.join(self.right)}"


class Grammar:
    """A context-free grammar.

    Args:
        text: its rules.
        key: the key that has them, which messages name.

    Raises:
        ValueError: a line is no rule, a symbol derives no string, only itself, or is never reached, or the grammar is
            not LALR(1).

    Example:
        >>> grammar = Grammar("S -> S + T | T\\nT -> x | ( S )")
        >>> tokens = grammar.tokenise("x + (x)")
        >>> grammar.derivation(tokens)
        [1, 2, 3, 4, 2, 3]
        >>> grammar.spell(grammar.tokens(grammar.derivation(tokens)))
        'x+(x)'
    """

    def __init__(self, text: str, key: str = "dataset.grammar") -> None:
        self.key = f"`{key}`"
        rules = _rules(text, self.key)
        ordered = rules.pop("", [()])[0]
        self.productions = [Production(left, right) for left, every in rules.items() for right in every]
        self.nonterminals = list(rules)
        seen = (symbol for production in self.productions for symbol in production.right)
        self.terminals = [symbol for symbol in dict.fromkeys((*ordered, *seen)) if symbol not in rules]
        if not self.terminals:
            raise ValueError(f"{self.key} must have terminals, symbols without a rule, but has none")
        self.numbers = {symbol: number for number, symbol in enumerate(self.terminals, 1)}
        self.start, self.least = self.nonterminals[0], self._least()
        self._check_symbols()
        self._parser = self._lalr()
        longest_first = sorted(self.terminals, key=len, reverse=True)
        self._token = re.compile("|".join(map(re.escape, longest_first)))

    def __deepcopy__(self, _: object) -> Grammar:
        """Returns itself, as it never changes: copies of lark's tables, whose actions are told by identity, break."""
        return self

    def least_of(self, production: Production) -> int:
        """Returns the least number of tokens that the right side of a production becomes."""
        return sum(self.least[symbol] for symbol in production.right)

    def tokenise(self, string: str) -> list[int]:
        """Returns the tokens of a string, the longest terminal that fits at each place; white space separates.

        Raises:
            ValueError: no terminal fits.
        """
        tokens: list[int] = []
        for word in string.split():
            found = [word] if word in self.numbers else self._token.findall(word)
            if "".join(found) != word:
                raise ValueError(f"a string must be of {' '.join(self.terminals)}, but is {string}")
            tokens += [self.numbers[symbol] for symbol in found]
        return tokens

    def symbols(self, string: str) -> list[str]:
        """Returns the terminals of a string.

        Raises:
            ValueError: no terminal fits.
        """
        return [self.terminals[token - 1] for token in self.tokenise(string)]

    def language(self, **more: Any) -> Language:
        """Returns how strings are spelled, and which are of the grammar; `more` is what else is known of them."""

        def is_valid(string: str) -> bool:
            try:
                return self.derives(self.tokenise(string))
            except ValueError:
                return False

        return Language(self.spell, is_valid, **more)

    def spell(self, tokens: Sequence[int]) -> str:
        """Returns tokens as a string."""
        return "".join(self.terminals[token - 1] for token in tokens)

    def derivation(self, tokens: Sequence[int]) -> list[int]:
        """Returns the numbers of the productions of the leftmost derivation of tokens.

        Raises:
            ValueError: the string is not one of the grammar.
        """
        try:
            tree: Any = self._parser.parse(tokens)
        except UnexpectedInput:
            raise ValueError(f"{self.key} must derive every string, but does not derive {self.spell(tokens)}") from None
        return [int(node.data[1:]) for node in tree.iter_subtrees_topdown()]

    def derives(self, tokens: Sequence[int]) -> bool:
        """Whether a string is one of the grammar."""
        try:
            return bool(self.derivation(tokens))
        except ValueError:
            return False

    def tokens(self, derivation: Sequence[int]) -> list[int]:
        """Returns the tokens that a whole leftmost derivation, up to its first 0, becomes."""
        stack, tokens, rest = [self.start], list[int](), iter(derivation)
        while stack:
            symbol = stack.pop()
            if symbol in self.numbers:
                tokens.append(self.numbers[symbol])
            else:
                stack += reversed(self.productions[next(rest) - 1].right)
        return tokens

    def longest(self, tokens: int) -> int:
        """Returns the largest number of productions in a derivation of at most so many tokens.

        That of a symbol and k tokens is one more than the largest sum over ways to share the k out among the right side
        of one of its productions. As no symbol derives itself alone, it is settled for k after as many rounds as there
        are symbols.

        Raises:
            ValueError: no string is so short.
        """
        never = np.full(tokens + 1, -np.inf)
        most = {symbol: never.copy() for symbol in (*self.terminals, *self.nonterminals)}
        shared = [np.full((len(each.right) + 1, tokens + 1), -np.inf) for each in self.productions]
        for symbol in self.terminals:
            most[symbol][1:2] = 0
        for table in shared:
            table[0, 0] = 0
        for k in range(tokens + 1):
            for _ in self.nonterminals:
                for (left, right), table in zip(self.productions, shared, strict=True):
                    for place, symbol in enumerate(right):
                        table[place + 1, k] = (table[place, : k + 1] + most[symbol][k::-1]).max()
                    most[left][k] = max(most[left][k], 1 + table[-1, k])
        found = most[self.start].max()
        if found < 0:
            raise ValueError(f"{self.key} must derive a string of at most {tokens} tokens, but derives none")
        return int(found)

    def _least(self) -> dict[str, int]:
        """Returns the least number of tokens that each symbol becomes.

        Raises:
            ValueError: a symbol becomes no string, however long.
        """
        least: dict[str, float] = dict.fromkeys(self.terminals, 1) | dict.fromkeys(self.nonterminals, np.inf)
        for _ in self.nonterminals:
            for left, right in self.productions:
                least[left] = min(least[left], sum(least[symbol] for symbol in right))
        for symbol in self.nonterminals:
            if least[symbol] == np.inf:
                raise ValueError(f"{self.key} must derive a string from each symbol, but derives none from {symbol}")
        return {symbol: int(each) for symbol, each in least.items()}

    def _check_symbols(self) -> None:
        """Refuses symbols that are never reached, and those that derive themselves alone.

        Raises:
            ValueError: there is one.
        """
        reached, alone = {self.start}, {symbol: set[str]() for symbol in self.nonterminals}
        for _ in self.nonterminals:
            for production in self.productions:
                if production.left in reached:
                    reached |= {*production.right}
                for symbol in production.right:
                    if self.least_of(production) == self.least[symbol] and symbol in alone:
                        alone[production.left] |= {symbol} | alone[symbol]
        for symbol in self.nonterminals:
            if symbol not in reached:
                raise ValueError(f"{self.key} must reach every symbol from {self.start}, but does not reach {symbol}")
            if symbol in alone[symbol]:
                raise ValueError(f"{self.key} must have no symbol that becomes itself alone, but has {symbol}")

    def _lalr(self) -> Lark:
        """Returns the parser, whose trees have a node for each production, named by its number.

        Raises:
            ValueError: the grammar has conflicts.
        """
        name = {symbol: f"r{place}" for place, symbol in enumerate(self.nonterminals)}
        name |= {symbol: _named(number) for symbol, number in self.numbers.items()}
        rules = dict[str, list[str]]()
        for number, (left, right) in enumerate(self.productions, 1):
            rules.setdefault(name[left], []).append(f"{' '.join(name[symbol] for symbol in right)} -> p{number}")
        lines = [f"{left}: {' | '.join(every)}" for left, every in rules.items()]
        declared = f"%declare {' '.join(name[symbol] for symbol in self.terminals)}"
        try:
            return Lark("\n".join((declared, *lines)), parser="lalr", lexer=_Tokens, start="r0", strict=True)
        except GrammarError as error:
            found = re.search(r"<r(\d+) :", str(error))
            where = "" if found is None else f" in those of {self.nonterminals[int(found[1])]}"
            raise ValueError(f"{self.key} must have rules without LALR(1) conflicts, but has some{where}") from None


class _Tokens(Lexer):
    """Hands numbered tokens over to the parser."""

    def __init__(self, _: object) -> None:
        pass

    def lex(self, tokens: Any) -> Iterator[Token]:  # type: ignore[override]
        return (Token(_named(token), "") for token in tokens)


def _named(token: int) -> str:
    """Returns the name of a terminal in the grammar of the parser; one with `_` is left out of trees."""
    return f"_T{token}"


def _rules(text: str, key: str) -> dict[str, list[tuple[str, ...]]]:
    """Returns the right sides of each symbol.

    Raises:
        ValueError: a line is no rule, or there is none.
    """
    rules = dict[str, list[tuple[str, ...]]]()
    for line in filter(None, map(str.strip, str(text).splitlines())):
        left, arrow, right = line.partition("->")
        if not arrow or len(left.split()) > 1:
            raise ValueError(f"{key} must have lines such as S -> S + T | T, but has {line}")
        alternatives = re.split(r"(?<!\S)\|(?!\S)", right)
        rules.setdefault(left.strip(), []).extend(tuple(each.split()) for each in alternatives)
    if not rules.keys() - {""}:
        raise ValueError(f"{key} must have rules, but is empty")
    return rules
