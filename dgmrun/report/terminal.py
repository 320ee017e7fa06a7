"""Terminal output of the tools: argument parsing, plain tables and lines."""

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
"""Number of columns if the output is not a terminal, so that nothing is wrapped or truncated."""
GAP = 1
Column = tuple[str, Sequence[str]]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises its errors as mistakes."""

    def error(self, message: str) -> NoReturn:
        """Refuses the arguments."""
        raise Mistake(f"`{self.prog}` {message}", f"{self.prog} --help")


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """Returns the long flags of a parser, except `--help`."""
    every = [flag for action in parser._actions for flag in action.option_strings]
    return sorted(flag for flag in every if flag.startswith("--") and flag != "--help")


def plain(value: Any) -> str:
    """Formats a value as in configuration files, on one line and without control characters."""
    return printable(value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True))


def warn(message: str) -> None:
    """Prints a warning on one line of stderr."""
    print(f"warning: {plain(' '.join(message.split()))}", file=sys.stderr)


def console() -> Console:
    """Returns a console for stdout, as wide as its terminal, without markup."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else WIDE
    return Console(width=width, markup=False, highlight=False, emoji=False)


def show(*parts: RenderableType) -> None:
    """Prints tables and lines."""
    print(text(*parts), flush=True)


def text(*parts: RenderableType) -> str:
    """Renders tables and lines, without trailing blanks."""
    out = console()
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def tables(columns: Sequence[Column]) -> Iterator[Table]:
    """Splits columns (heading, cells) into tables that fit the width; the first column is repeated in each."""
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
    """Wraps a text after `start`, with further lines indented below its first one, to the width of the terminal."""
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
