"""Texts with the words by which they were classified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.patches import Rectangle

from dgmrun.pictures.drawing import COLOURS, DPI, STYLE, Picture

LETTERS = 96
"""Number of characters of a line."""
ADVANCE, SIZE, SMALL = 0.602, 9, 6
"""Width of a character of DejaVu Sans Mono over its size, and sizes of words and of probabilities, in points."""
LINE, BETWEEN, MARGIN = 24, 14, 14
"""Height of a line, room between texts, and at the edges, in points."""


class Text(NamedTuple):
    """A text.

    Args:
        title: what was predicted of it.
        is_right: whether that is so.
        words: its words.
        probability: probability that each is kept.
        kept: whether it was, 1 or 0.
    """

    title: str
    is_right: bool
    words: Sequence[str]
    probability: Sequence[float]
    kept: Sequence[float]


class Place(NamedTuple):
    """Where a word is: the line, and the character with which it begins."""

    line: int
    column: int


@rc_context(STYLE)
def draw(texts: Sequence[Text]) -> Picture:
    """Draws texts one below the other; words that were kept are bold on colour, with their probability below."""
    laid = [places(text.words) for text in texts]
    heights = [LINE * (each[-1].line + 2) + BETWEEN if each else LINE + BETWEEN for each in laid]
    width, height = LETTERS * SIZE * ADVANCE + 2 * MARGIN, sum(heights) + 2 * MARGIN
    figure = Picture(figsize=(width / 72, height / 72), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    top: float = MARGIN
    for text, each, high in zip(texts, laid, heights, strict=True):
        colour = COLOURS[2] if text.is_right else COLOURS[1]
        axes.text(MARGIN, top + SIZE, text.title, size=SIZE, color=colour, weight="bold")
        for word, probability, kept, place in zip(text.words, text.probability, text.kept, each, strict=True):
            left, base = MARGIN + place.column * SIZE * ADVANCE, top + LINE * (place.line + 1) + SIZE
            wide = len(word) * SIZE * ADVANCE
            if kept:
                box = Rectangle((left - 1.5, base - SIZE), wide + 3, SIZE + 3, color=COLOURS[4], alpha=0.45, lw=0)
                axes.add_patch(box)
                axes.text(left + wide / 2, base + 10, _brief(probability), size=SMALL, ha="center")
            weight, ink = ("bold", "black") if kept else ("normal", "0.45")
            axes.text(left, base, word, size=SIZE, family="DejaVu Sans Mono", weight=weight, color=ink)
        top += high
    figure.data = columns(texts)
    return figure


def _brief(probability: float) -> str:
    """A probability with two decimals, as .97, or 1."""
    return "1" if probability > 0.995 else f"{probability:.2f}".lstrip("0")


def places(words: Sequence[str]) -> list[Place]:
    """Returns where each word is if lines are filled one after the other."""
    found: list[Place] = []
    line = column = 0
    for word in words:
        if column and column + len(word) > LETTERS:
            line, column = line + 1, 0
        found.append(Place(line, column))
        column += len(word) + 1
    return found


def columns(texts: Sequence[Text]) -> dict[str, list[object]]:
    """Returns a row for each word."""
    rows = [
        (number, text.title, *word)
        for number, text in enumerate(texts)
        for word in zip(text.words, text.probability, text.kept, strict=True)
    ]
    names = ("text", "title", "word", "probability", "kept")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
