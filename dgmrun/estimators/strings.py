"""Strings that a model samples."""

from __future__ import annotations

from torch import Tensor

from dgmrun.protocols.language import Language


def spelled(language: Language, x: Tensor) -> list[str]:
    """Returns strings [num, length] as they are spelled, each up to its end, or whole if it has none."""
    return [language.spell(row[:end]) for row, end in zip(x.tolist(), x.ne(0).cumprod(1).sum(1).tolist(), strict=True)]
