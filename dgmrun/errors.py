"""The user's mistakes, and the one place that renders them.

A `Mistake` is what the user can mend: exit status 2, one line, and a hint that names a command to type.
A `RunFailed` is a run that broke although it was asked for correctly: exit status 1.
Anything else that escapes is a bug of ours and shows a traceback.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable

ERROR_FILE = "DGMRUN_ERROR_FILE"
"""The environment variable that names, in a process that dgmrun has started, where its error is to be written."""
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
LONGEST = 1000
"""Letters of anything that is told."""


class Mistake(Exception):
    """Something that the user asked for and cannot have.

    Args:
        message: one line: the configuration key, what it must be and what it is instead.
        hint: what to do about it, usually a command to type.
    """

    status = USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Busy(Mistake):
    """A run that another process has; what it has written of itself stays."""


class RunFailed(Mistake):
    """A run that broke on its way; `message` and `hint` as in `Mistake`."""

    status = FAILED


class Interrupted(Mistake):
    """Ctrl-C or SIGTERM: everything is saved; `hint` says how to go on."""

    status = INTERRUPTED


def nearest(name: str, names: Iterable[str]) -> str:
    """The words " Did you mean `...`?" where one of `names` is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def printable(text: str) -> str:
    """A text on one line and of bearable length; what a terminal could obey becomes `?`."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


def of_status(message: str, hint: str | None, status: int) -> Mistake:
    """The kind of mistake that ends with `status`."""
    kinds = {kind.status: kind for kind in (Mistake, RunFailed, Interrupted)}
    return kinds[status](message, hint)


def render(mistake: Mistake) -> int:
    """Prints a mistake to stderr as `error: ...`, a blank line, `hint: ...`; returns the exit status.

    A process that dgmrun has started writes it to a file instead, for its parent to tell.
    """
    if ERROR_FILE in os.environ:
        with open(os.environ[ERROR_FILE], "w") as file:
            json.dump({"message": str(mistake), "hint": mistake.hint, "status": mistake.status}, file)
        return mistake.status
    print(f"error: {printable(' '.join(str(mistake).split()))}", file=sys.stderr)
    if mistake.hint:
        print(f"\nhint: {printable(mistake.hint)}", file=sys.stderr)
    return mistake.status
