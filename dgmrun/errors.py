"""Errors caused by the user, and the function that prints them.

A `Mistake` can be corrected by the user: exit status 2, one line, and a hint with a command to type.
A `RunFailed` is a failure of a valid run: exit status 1.
Any other exception is a bug and shows a traceback.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from difflib import SequenceMatcher
from errno import EACCES, EDQUOT, EEXIST, EIO, EISDIR, ENAMETOOLONG, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS, ESTALE
from pathlib import Path

ERROR_FILE = "DGMRUN_ERROR_FILE"
"""Environment variable with the name of the file to which a child process writes its error."""
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
OF_THE_SYSTEM = (EACCES, EDQUOT, EEXIST, EIO, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS, ESTALE)
"""Numbers of errors of disks and of their rights, which are no bugs."""
TOO_LARGE = re.compile("allocate|overflow|failed to map segment", re.IGNORECASE)
"""Pattern of what numpy, torch and the loader of libraries say of too little memory or an overflow of sizes."""
LONGEST = 1000
"""Largest number of characters of a printed text."""
LIKE = 0.6
"""Least likeness of a suggestion to what was typed: the share of characters, of both, that match in order."""


class Mistake(Exception):
    """An invalid request by the user.

    Args:
        message: one line: the configuration key, what it must be and what it is.
        hint: what to do about it, usually a command to type.
    """

    status = USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint is not None and sys.version_info >= (3, 11):
            self.add_note(f"hint: {hint}")  # which Python shows below the message


class Busy(Mistake):
    """A run in use by another process, whose records must not be changed."""


class RunFailed(Mistake):
    """Failure of a valid run; `message` and `hint` as in `Mistake`."""

    status = FAILED


class Interrupted(Mistake):
    """Ctrl-C or SIGTERM: the state is saved; `hint` says how to resume."""

    status = INTERRUPTED


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns " (did you mean `...`?)" with those of `names` that are closest to `name`, else an empty string."""
    likeness = {other: SequenceMatcher(None, other, name).ratio() for other in names}
    best = max(likeness.values(), default=0.0)
    closest = " or ".join(f"`{other}`" for other, ratio in likeness.items() if ratio == best)
    return f" (did you mean {closest}?)" if best >= LIKE else ""


def printable(text: str) -> str:
    """Truncates a text and replaces characters that are not printable, newlines included, by `?`."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return shown if shown.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in shown)


def of_status(message: str, hint: str | None, status: int) -> Mistake:
    """Makes an error of the class with this exit status."""
    kinds = {kind.status: kind for kind in (Mistake, RunFailed, Interrupted)}
    return kinds[status](message, hint)


def of_the_system(error: OSError, place: str | Path, then: str = "") -> RunFailed:
    """Makes the failure of a run from an error of the system in a file, or at a place if it names none.

    `then` continues the hint.
    """
    cure = "a disk that works" if error.errno in (EIO, ESTALE) else "room and rights to write there"
    return RunFailed(f"{error.filename or place}: {error.strerror}", cure + then)


def is_of_memory(error: BaseException) -> bool:
    """Returns whether an error, of a computation or of an import, is for want of memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == ENOMEM):
        return True
    return isinstance(error, (ImportError, OSError, RuntimeError)) and TOO_LARGE.search(str(error)) is not None


def render(mistake: Mistake) -> int:
    """Prints an error to stderr as `error: ...`, a blank line, `hint: ...`; returns the exit status.

    A child process writes it to a file instead, for its parent to report.
    """
    if ERROR_FILE in os.environ:
        with open(os.environ[ERROR_FILE], "w") as file:
            json.dump({"message": str(mistake), "hint": mistake.hint, "status": mistake.status}, file)
        return mistake.status
    print(f"error: {printable(' '.join(str(mistake).split()))}", file=sys.stderr)
    if mistake.hint:
        print(f"\nhint: {printable(mistake.hint)}", file=sys.stderr)
    return mistake.status
