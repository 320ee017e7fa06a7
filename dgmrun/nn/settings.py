"""Checks of settings that several models share."""

from __future__ import annotations

from collections.abc import Collection


def check_word(key: str, value: str, known: Collection[str], where: str = "") -> None:
    """Refuses a word that is not known; `where` says of which data, if others permit more of them.

    Raises:
        ValueError: the message names the key.
    """
    if not isinstance(value, str) or value not in known:
        one_of = "one of " if len(known) > 1 else ""
        raise ValueError(f"`model.{key}` must be {one_of}{', '.join(known)}{where and f' for {where}'}, but is {value}")


def check_size(key: str, size: int, least: int, section: str = "model") -> None:
    """Refuses what is no whole number, or too small.

    Raises:
        ValueError: the message names the key.
    """
    if type(size) is not int or size < least:
        raise ValueError(f"`{section}.{key}` must be a whole number of at least {least}, but is {size}")
