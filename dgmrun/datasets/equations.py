"""Arithmetic expressions in one variable, such as 1/3+x+sin(x*x), as tokens of the grammar that they were drawn from.

Kusner, Paige and Hernandez-Lobato 2017: 100,000 different lines of up to 13 tokens. They are 10,092 functions: of a
random tenth of the lines, 98 % are functions of others, so that a split by line holds little out.

The property of an expression is how far it is from a target, 1/3 + x + sin(x x): see `language`. Published figures of
expressions that were found, but not of the target, divide whole numbers as Python 2 does, so that 1/2 is 0 (run_bo.py
of the code); here it is one half.

References:
    Kusner, Paige and Hernandez-Lobato (2017), Grammar variational autoencoder, https://arxiv.org/abs/1703.01925,
    section 4.1; the code is https://github.com/mkusner/grammarVAE.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dgmrun.data.files import read
from dgmrun.data.splits import SPLITS, Split, Splits, places
from dgmrun.errors import Mistake, nearest
from dgmrun.nn.grammar import Grammar
from dgmrun.protocols.language import Language, Property

Values = NDArray[np.float64]
log = logging.getLogger("dgmrun")
FILE = "equation2_15_dataset.txt"
URL = f"https://raw.githubusercontent.com/mkusner/grammarVAE/ffffe272a8cf1772578dfc92254c55c224cddc02/data/{FILE}"
SHA256 = "ae9850311e884f888491f56dca57ef3c2f9880899e63d26b5da3b71840591ca2"
LENGTH = 14
"""Number of places: 13 tokens and the end."""
POINTS, DIGITS = np.linspace(-2, 2, 10) + 0.0137, 6
"""Where functions are compared, and to how many digits: with any of 6 to 11 of them there are 10,092."""
X = np.linspace(-10, 10, 1000)
WORST = 1000.0
"""Where the error of an expression is measured, and the largest squared error of a point."""
SPLIT_BY = ("function", "line")


def load(data_dir: Path, grammar: str, split: str, least_error: float) -> Splits:
    """Loads x [N, 14], tokens numbered as terminals of the grammar.

    Args:
        data_dir: folder of all datasets.
        grammar: rules, a line each; see `dgmrun.nn.grammar`.
        split: `function`, so that no two splits have expressions of the same function; or `line`. Either way 80, 10 and
            10 % of them, a choice that is the same for every run.
        least_error: expressions with a smaller error are in test alone, so that the best are not known to a search.

    Raises:
        Mistake: there is no such split, a line has something that is no terminal, or the file cannot be had.
    """
    division(grammar, split, least_error)
    lines = read(data_dir, (f"equations/{FILE}", f"equations/{FILE}.gz"), URL, SHA256).decode().splitlines()
    tokens = _parsed(grammar).tokenise
    x = torch.tensor([string + [0] * (LENGTH - len(string)) for string in map(tokens, lines)])
    number = functions(lines)
    log.info("data        equations: %d functions in %d lines", number.max() + 1, len(lines))
    held = number if split == "function" else np.arange(len(lines))
    group = np.empty(held.max() + 1, np.int64)
    for place, chosen in enumerate(places(len(group))):
        group[chosen] = place
    if least_error > 0:
        firsts = np.unique(number, return_index=True)[1]
        errors = np.array([error(lines[first].replace(" ", "")) for first in firsts])
        group[held[errors[number] < least_error]] = SPLITS.index("test")
    return {name: Split(x[torch.from_numpy(group[held] == place)]) for place, name in enumerate(SPLITS)}


def division(grammar: str, split: str, least_error: float) -> str:
    """Says how examples were divided into splits.

    Raises:
        Mistake: there is no such split.
    """
    if split not in SPLIT_BY:
        raise Mistake(f"`dataset.split` must be {' or '.join(SPLIT_BY)}, but is {split}{nearest(str(split), SPLIT_BY)}")
    return f"split by {split}" + (f", in test if the error is below {least_error:g}" if least_error > 0 else "")


def language(grammar: str, split: str, least_error: float) -> Language:
    r"""Returns how expressions are spelled, whether the grammar derives one, and its error:

    .. math:: \log\Big(1 + \frac{1}{1000} \sum_i \min\big((f(x_i) - \tfrac13 - x_i - \sin(x_i^2))^2, 1000\big)\Big)

    for x_i from -10 to 10, or log 1001 where f is not a number somewhere.
    """
    return _parsed(grammar).language(properties={"error": Property(error, "lower")})


@lru_cache(1)
def _parsed(grammar: str) -> Grammar:
    return Grammar(grammar)


def error(expression: str) -> float:
    """Returns the error of an expression; see `language`."""
    target = 1 / 3 + X + np.sin(X * X)
    with np.errstate(over="ignore"):
        squared = (values(expression, X) - target) ** 2
    found = float(np.log1p(np.minimum(squared, WORST).mean()))
    return math.log1p(WORST) if math.isnan(found) else found


def functions(expressions: Sequence[str]) -> NDArray[np.int64]:
    """Returns the number of the function of each expression, the same for equal functions, in order of appearance."""
    at = _evaluator(POINTS)
    y = np.stack([at(expression.replace(" ", "")) for expression in expressions])
    with np.errstate(all="ignore"):
        unit = 10 ** (np.floor(np.log10(np.abs(y))) + 1 - DIGITS)
        rounded = np.where(np.isfinite(y / unit), np.round(y / unit) * unit, y) + 0.0
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rounded])


def values(expression: str, x: Values) -> Values:
    """Returns an expression at x, by the usual precedence; not finite where it overflows or divides by 0."""
    return _evaluator(x)(expression)


def _evaluator(x: Values) -> Callable[[str], Values]:
    """Returns a function of expressions without spaces that remembers what parts of them are at x."""
    known: dict[str, Values] = {"x": x} | {digit: np.full_like(x, float(digit)) for digit in "0123456789"}

    def at(expression: str) -> Values:
        if expression not in known:
            with np.errstate(all="ignore"):
                known[expression] = found(expression)
        return known[expression]

    def found(expression: str) -> Values:
        depth, plus, times = 0, 0, 0
        for place, letter in enumerate(expression):
            depth += (letter == "(") - (letter == ")")
            if depth == 0 and letter == "+":
                plus = place
            elif depth == 0 and letter in "*/":
                times = place
        if plus:
            return at(expression[:plus]) + at(expression[plus + 1 :])
        if times:
            left, right = at(expression[:times]), at(expression[times + 1 :])
            return left * right if expression[times] == "*" else left / right
        name, _, inside = expression.partition("(")
        if name not in FUNCTIONS or not inside.endswith(")"):
            raise ValueError(f"an expression must be of x, digits, + * / ( ) sin( exp(, but has {expression}")
        return FUNCTIONS[name](at(inside[:-1]))

    return at


FUNCTIONS: dict[str, Callable[[Values], Values]] = {"": lambda x: x, "sin": np.sin, "exp": np.exp}
