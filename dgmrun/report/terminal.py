"""How the tools that make no run speak: arguments in, plain tables and lines out."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table

from dgmrun.errors import Mistake, printable

WIDE = 10_000
"""Columns of an output that is no terminal: nothing is wrapped or cut there."""
GAP = 1
Column = tuple[str, Sequence[str]]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are mistakes."""

    def error(self, message: str) -> NoReturn:
        """Refuses the arguments."""
        raise Mistake(f"`{self.prog}` {message}", f"{self.prog} --help")


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """The long flags that a parser takes, but for the one that asks for help."""
    every = [flag for action in parser._actions for flag in action.option_strings]
    return sorted(flag for flag in every if flag.startswith("--") and flag != "--help")


def plain(value: Any) -> str:
    """A value on one line, as configuration files write it, and nothing that a terminal could obey."""
    return printable(value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True))


def warn(message: str) -> None:
    """A warning on one line of stderr."""
    print(f"warning: {plain(' '.join(message.split()))}", file=sys.stderr)


def console() -> Console:
    """stdout, as wide as its terminal; no text is taken for markup."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else WIDE
    return Console(width=width, markup=False, highlight=False, emoji=False)


def show(*parts: RenderableType) -> None:
    """Prints tables and lines."""
    print(text(*parts), flush=True)


def text(*parts: RenderableType) -> str:
    """Tables and lines, without the blanks that rich fills lines up with."""
    out = console()
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def tables(columns: Sequence[Column]) -> Iterator[Table]:
    """Columns (heading, cells) in as many tables as the width needs; the first column begins each of them."""
    first, *others = columns
    start = _width(first)
    block, taken = [first], start
    for column in others:
        if taken + _width(column) > console().width and len(block) > 1:
            yield _table(block)
            block, taken = [first], start
        block.append(column)
        taken += _width(column)
    yield _table(block)


def wrapped(text: str, start: str) -> list[str]:
    """A text after `start`, its further lines under its first one; as wide as the terminal."""
    wrapper = textwrap.TextWrapper(
        width=max(40, console().width),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.wrap(text) or [start.rstrip()]


def _width(column: Column) -> int:
    heading, cells = column
    return max(map(cell_len, (heading, *cells))) + GAP + 1


def _table(columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for cells in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*cells)
    return table
