"""Strings of several models beside data, one below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib import rc_context

from dgmrun.errors import printable
from dgmrun.pictures.drawing import DPI, STYLE, Picture
from dgmrun.pictures.rationales import ADVANCE, LINE, MARGIN, SIZE

MOST = 24
"""Largest number of strings of a column."""
LETTERS = 64
"""Largest number of characters of a line of a string, and of its lines."""
LINES = 2


@rc_context(STYLE)
def draw(panels: Mapping[str, Sequence[str]]) -> Picture:
    """Draws the first strings of each panel in a column, under its title; long ones are cut after two lines."""
    shown = {title: [_cut(string) for string in strings[:MOST]] for title, strings in panels.items()}
    rows = max(len(strings) for strings in shown.values())
    lines = max((string.count("\n") + 1 for strings in shown.values() for string in strings), default=1)
    wide, high = LETTERS * SIZE * ADVANCE + MARGIN, LINE * (1 + lines) / 2
    width, height = wide * len(shown) + MARGIN, LINE + high * rows + 2 * MARGIN
    figure = Picture(figsize=(width / 72, height / 72), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for column, (title, strings) in enumerate(shown.items()):
        left = MARGIN + column * wide
        axes.text(left, MARGIN + SIZE, title, size=SIZE, weight="bold")
        for row, string in enumerate(strings):
            top = MARGIN + LINE + row * high
            axes.text(left, top, string, size=SIZE, family="DejaVu Sans Mono", va="top")
    most = max(map(len, panels.values()))
    figure.data = {title: [*strings, *[""] * (most - len(strings))] for title, strings in panels.items()}
    return figure


def _cut(string: str) -> str:
    """Breaks a string to lines, whatever its characters, and cuts what is left after the last."""
    lines = textwrap.wrap(printable(string), LETTERS, drop_whitespace=False) or [""]
    return "\n".join([*lines[:LINES]]) + " ..." * (len(lines) > LINES)
