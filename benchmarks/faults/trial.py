"""A training in a process of its own, to which something happens, and what it must become in spite of it.

Processes are forked from one that has imported everything already, so that a whole life takes half a second.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any

from benchmarks.faults import writes
from dgmrun import cli
from tests.contracts.pairs import Command, assert_same, outcome

LONGEST = 120.0
"""Seconds after which a process counts as one that hangs."""


class Lost(Exception):
    """A fault that was not survived, and how."""


@dataclass(frozen=True)
class Undisturbed:
    """A training to which nothing happened.

    Args:
        words: of its command, without a directory.
        outcome: what it came to.
        seconds: that it took.
        writes: renames, syncs and parts of checkpoints in it.
    """

    words: tuple[str, ...]
    outcome: dict[str, Any]
    seconds: float
    writes: int


class Trial:
    """A training to which one fault is to happen.

    Args:
        whole: the same training, undisturbed.
        folder: an empty one, for the run.
        said: a file for what is printed.
        random: says when the fault happens.
    """

    def __init__(self, whole: Undisturbed, folder: Path, said: Path, random: Random) -> None:
        self.whole, self.run, self.said, self.random = whole, folder / "run", said, random

    @property
    def text(self) -> str:
        """Everything that its processes have printed."""
        return self.said.read_text(errors="replace")

    def command(self) -> list[str]:
        """What starts the training, or takes it up as soon as there is a run."""
        is_run = (self.run / "config.yaml").exists()
        return [f"run={self.run}"] if is_run else [*self.whole.words, "train", f"hydra.run.dir={self.run}"]

    def moment(self) -> float:
        """Returns seconds after the start, any of a whole life alike."""
        return self.random.uniform(0, self.whole.seconds)

    def write(self) -> int:
        """Returns the number of a write, any of a whole life alike."""
        return self.random.randrange(self.whole.writes)

    def start(self, *words: str, before: Callable[[], object] = lambda: None) -> int:
        """Starts what `go` waits for; returns the number of the process."""
        return forked([*self.command(), *words], self.said, before)

    def go(
        self, *words: str, before: Callable[[], object] = lambda: None, signals: Sequence[tuple[float, int]] = ()
    ) -> int:
        """Trains, or trains on; returns the exit status, which is negative for a signal.

        Args:
            words: further words of the command.
            before: is called in the process before it begins.
            signals: seconds to wait, and what to send then.
        """
        process = self.start(*words, before=before)
        for seconds, signal in signals:
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(process, signal)
        return ended(process)

    def check_resumes(self, *words: str) -> None:
        """Takes the training up, and compares what it comes to.

        Raises:
            Lost: it is not what an undisturbed one came to, or something is left behind.
        """
        status = self.go(*words)
        if status:
            raise Lost(f"taken up, it ended with status {status}")
        try:
            assert_same(outcome(self.run), self.whole.outcome)
        except AssertionError as error:
            raise Lost(f"another outcome: {str(error).splitlines()[0]}") from None
        if left := [file.name for file in self.run.rglob(".*")]:
            raise Lost(f"left behind: {', '.join(left)}")

    def check_told(self, *texts: str) -> None:
        """Checks that something was said, and that no traceback was.

        Raises:
            Lost: it was not, or one was.
        """
        for text in texts:
            if text not in self.text:
                raise Lost(f"it never said {text!r}")
        if "Traceback" in self.text:
            raise Lost("a traceback was shown")


def undisturbed(command: Command, folder: Path) -> Undisturbed:
    """Trains once without any fault, and once more to take the time, as the first one imports what it needs."""
    runs = [folder / name for name in ("first", "second")]
    for run in runs:
        start = time.monotonic()
        words = [*command.training, "train", f"hydra.run.dir={run}"]
        process = forked(words, folder / "said.txt", partial(writes.count, folder / "writes"))
        if ended(process):
            raise RuntimeError((folder / "said.txt").read_text())
        seconds = time.monotonic() - start
    first, second = map(outcome, runs)
    assert_same(first, second)
    for run in runs:
        shutil.rmtree(run)
    return Undisturbed(command.training, first, seconds, (folder / "writes").stat().st_size)


def forked(words: Sequence[str], said: Path, before: Callable[[], object]) -> int:
    """Starts `dgmrun ...` in a process that prints to a file; returns its number."""
    said.parent.mkdir(parents=True, exist_ok=True)
    if process := os.fork():
        return process
    status = 3
    try:
        with said.open("ab") as stream:
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
        os.chdir(said.parent)
        sys.argv[:] = ["dgmrun", *words]
        before()
        status = cli.main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def ended(process: int, longest: float | None = LONGEST) -> int:
    """Waits for a process; returns its exit status, or the negative number of the signal that ended it.

    Args:
        process: its number.
        longest: seconds to wait.

    Raises:
        Lost: it does not end.
    """
    start = time.monotonic()
    while longest is None or time.monotonic() - start < longest:
        number, status = os.waitpid(process, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    os.kill(process, SIGKILL)
    os.waitpid(process, 0)
    raise Lost(f"it hung for {longest:.0f} s")
