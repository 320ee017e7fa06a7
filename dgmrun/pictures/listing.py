"""Strings of several models beside data, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, zip_longest

from matplotlib import rc_context

from dgmrun.pictures.drawing import DPI, STYLE, Picture
from dgmrun.pictures.rationales import ADVANCE, LINE, MARGIN, SIZE
from dgmrun.report.terminal import plain

MOST = 24
"""Largest number of strings of a column."""
LETTERS = 64
"""Largest number of characters of a line of a string, and of its lines."""
LINES = 2


@rc_context(STYLE)
def draw(panels: Mapping[str, Sequence[str]]) -> Picture:
    """Draws the first strings of each panel in a column, under its title; long ones are cut after two lines."""
    shown = {title: [_cut(string) for string in strings[:MOST]] for title, strings in panels.items()}
    rows = [max(row.count("\n") for row in each) for each in zip_longest(*shown.values(), fillvalue="")]
    tops = [*accumulate((LINE * (1 + further / 2) for further in rows), initial=MARGIN + LINE)]
    wide = LETTERS * SIZE * ADVANCE + MARGIN
    width, height = wide * len(shown) + MARGIN, tops[-1] + MARGIN
    figure = Picture(figsize=(width / 72, height / 72), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for column, (title, strings) in enumerate(shown.items()):
        left = MARGIN + column * wide
        axes.text(left, MARGIN + SIZE, title, size=SIZE, weight="bold")
        for string, top in zip(strings, tops, strict=False):
            axes.text(left, top, string, size=SIZE, family="DejaVu Sans Mono", va="top")
    most = max(map(len, panels.values()))
    figure.data = {title: [*strings, *[""] * (most - len(strings))] for title, strings in panels.items()}
    return figure


def _cut(string: str) -> str:
    """Breaks a string to lines, wherever they end, and cuts what does not fit."""
    shown, room = plain(string), LETTERS * LINES
    shown = shown if len(shown) <= room else f"{shown[: room - 4]} ..."
    return "\n".join(shown[start : start + LETTERS] for start in range(0, len(shown), LETTERS))
