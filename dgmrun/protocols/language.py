"""What the strings of a dataset mean: how they are spelled, which are valid, and what can be measured of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Property(NamedTuple):
    """A number that can be measured of a valid string.

    Args:
        measure: the number, given a string as it is spelled.
        better: which numbers are better: `higher` or `lower`.
    """

    measure: Callable[[str], float]
    better: str


class Language(NamedTuple):
    """The strings of a dataset; its module has a function `language(**its own settings)` that returns it.

    Args:
        spell: how tokens, without the end, are written as a string.
        is_valid: whether a string, as it is spelled, is one of the language; None if every string is.
        properties: what can be measured of a valid string, by name.
        canonical: one string for all that mean the same as a valid one, such as all spellings of a molecule.
    """

    spell: Callable[[Sequence[int]], str]
    is_valid: Callable[[str], bool] | None = None
    properties: Mapping[str, Property] = {}
    canonical: Callable[[str], str] = str
