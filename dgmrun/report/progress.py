"""Bars of long computations."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from dgmrun.protocols.progress import observed

NARROW = 20
"""Width of a bar, in characters."""


def bars(what: str, figures: str = "") -> Progress:
    """Returns bars with count and time left, which are always shown, and the text of a field, which is cut to fit."""
    whole = [Column(no_wrap=True) for _ in range(4)]
    columns = [
        TextColumn(what, table_column=whole[0]),
        BarColumn(NARROW, table_column=whole[1]),
        MofNCompleteColumn(table_column=whole[2]),
        TimeRemainingColumn(table_column=whole[3]),
    ]
    cut = TextColumn(figures, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    shown = [*columns, cut] if figures else columns
    return Progress(*shown, console=Console(stderr=True), transient=True, expand=bool(figures))


def is_shown(progress: Progress) -> bool:
    """Returns whether bars can be seen: on a terminal or in a notebook, of a process that says what it does."""
    is_silent = not logging.getLogger("dgmrun").isEnabledFor(logging.WARNING)
    return not is_silent and (progress.console.is_terminal or progress.console.is_jupyter)


@contextmanager
def bar(what: str) -> Iterator[None]:
    """Shows that something takes time, and the loops that are tracked within; the bar is removed at the end."""
    progress = bars(what)
    if not is_shown(progress):
        yield
        return
    task = progress.add_task("", total=None)

    def observe(done: int, total: int) -> None:
        if done == 1:
            progress.reset(task, total=total)
        progress.update(task, completed=done)

    with progress, observed(observe):
        yield
