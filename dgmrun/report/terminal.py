"""Terminal output of the tools: argument parsing, plain tables and lines."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table

from dgmrun.errors import Mistake, nearest, printable

WIDE = 10_000
"""Number of columns if the output is not a terminal, so that nothing is wrapped or truncated."""
GAP = 1
JOINT = "\x00"
"""Stands for a blank at which no line is broken."""
LONGEST = 60
"""Width of the longest cells that are not broken."""
UNITS = ("B", "kB", "MB", "GB", "TB")
Column = tuple[str, Sequence[str]]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises its errors as mistakes."""

    def error(self, message: str) -> NoReturn:
        """Refuses the arguments."""
        what, _, flag = message.partition(" arguments: ")
        if what == "unrecognized":
            message = f"has no {flag}{nearest(flag, flags(self))}"
        raise Mistake(f"`{self.prog}` {message}", f"{self.prog} --help")


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """Returns the long flags of a parser, except `--help`."""
    every = [flag for action in parser._actions for flag in action.option_strings]
    return sorted(flag for flag in every if flag.startswith("--") and flag != "--help")


def plain(value: Any) -> str:
    """Formats a value as in configuration files, on one line and without control characters."""
    return printable(value if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True))


def human(size: int) -> str:
    """Formats a number of bytes."""
    power = min(len(UNITS) - 1, (len(str(size)) - 1) // 3)
    return f"{size / 1000**power:.{1 if power else 0}f} {UNITS[power]}"


def warn(message: str) -> None:
    """Prints a warning on one line of stderr."""
    print(f"warning: {plain(' '.join(message.split()))}", file=sys.stderr)


def console(width: int | None = None) -> Console:
    """Returns a console for stdout, as wide as its terminal or as given, without markup."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(width=width or (None if is_terminal else WIDE), markup=False, highlight=False, emoji=False)


def show(*parts: RenderableType, width: int | None = None) -> None:
    """Prints tables and lines."""
    print(text(*parts, width=width), flush=True)


def text(*parts: RenderableType, width: int | None = None) -> str:
    """Renders tables and lines, without trailing blanks."""
    out = console(width)
    room = out.width
    with out.capture() as captured:
        for part in parts:
            out.width = WIDE if isinstance(part, Table) else room  # a table has its widths
            out.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def tables(columns: Sequence[Column]) -> Iterator[Table]:
    """Splits columns (heading, cells) into tables that fit the width; the first column is repeated in each."""
    first, *others = columns
    start = _width(first)
    block, taken = [first], start
    for column in others:
        if taken + _width(column) > console().width and len(block) > 1:
            yield table(block, console().width)
            block, taken = [first], start
        block.append(column)
        taken += _width(column)
    yield table(block, console().width)


def fitting(columns: Sequence[Column], optional: Sequence[str], width: int) -> tuple[list[Column], list[str]]:
    """Leaves out those optional columns, named most wanted first, for which there is no room; returns these as well."""
    needed = {heading for heading, _ in columns} - {*optional}
    wide = {column[0]: _width(column) for column in columns}
    for heading in optional:
        if heading in wide and sum(wide[each] for each in (*needed, heading)) <= width + GAP + 1:
            needed.add(heading)
    return [column for column in columns if column[0] in needed], [each for each in wide if each not in needed]


def wrapped(text: str, start: str, width: int | None = None) -> list[str]:
    """Wraps a text after `start`, with further lines indented below its first one, to the terminal or to a width.

    A command between backticks stays on one line.
    """
    wrapper = textwrap.TextWrapper(
        width=max(40, width or console().width),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    whole = re.sub("`[^`]*`", lambda command: command[0].replace(" ", JOINT), text)
    return [line.replace(JOINT, " ") for line in wrapper.wrap(whole)] or [start.rstrip()]


def _width(column: Column) -> int:
    heading, cells = column
    return max(map(cell_len, (heading, *cells))) + GAP + 1


def table(columns: Sequence[Column], room: int = WIDE) -> Table:
    """Returns a table of columns (heading, cells) in so much room, or more where it would have to break cells."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for (heading, _), width in zip(columns, _widths(columns, room), strict=True):
        made.add_column(heading, overflow="fold", width=width)
    for cells in zip(*(cells for _, cells in columns), strict=True):
        made.add_row(*cells)
    return made


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """Returns the width of each column; headings are broken between words where there is no room for all of them."""
    widths = [_width(column) - GAP - 1 for column in columns]
    spare = [width - _least(column) for width, column in zip(widths, columns, strict=True)]
    for _ in range(min(sum(spare), sum(map(_width, columns)) - GAP - 1 - room)):
        widest = spare.index(max(spare))
        spare[widest] -= 1
        widths[widest] -= 1
    return widths


def _least(column: Column) -> int:
    heading, cells = column
    return min(LONGEST, max(map(cell_len, (*heading.split(), *cells))))
