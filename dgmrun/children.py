"""Processes that dgmrun starts of itself: the jobs of a sweep, and the ranks of a training in several processes.

Each is a fresh `python -m dgmrun ...` in a session of its own, so that Ctrl-C reaches it once, through its parent. It
ends when its parent does, however that ends: its standard input is a pipe, which then closes. Its error arrives in a
file and not on the screen, where it would stand among those of its siblings.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from dgmrun.errors import ERROR_FILE, Interrupted, Mistake, RunFailed, of_status

OF_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that make a process part of a distributed one."""
ORPHANED = 60.0
"""Seconds that an orphan has to save what it can."""


class Child:
    """A process `python -m dgmrun ARGV...`.

    Args:
        argv: its arguments.
        environment: what it has beyond ours; nothing of a distributed process is inherited.
        quiet: whether its standard error goes to a file, from where `failure` takes its last line.
        locks: handles that it inherits, to hold what they lock.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], quiet: bool, locks: Sequence[int] = ()
    ) -> None:
        self.folder = TemporaryDirectory(prefix="dgmrun-")
        self.error_file, self.said = (Path(self.folder.name, name) for name in ("error.json", "stderr"))
        self.is_interrupted = False
        inherited = {key: value for key, value in os.environ.items() if key not in OF_RANKS}
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dgmrun", *argv],
                env={**inherited, **environment, "PYTHONSAFEPATH": "1", ERROR_FILE: str(self.error_file)},
                pass_fds=locks,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said if quiet else None,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Asks it to save and end."""
        self.is_interrupted = True
        self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Ends it at once, if it has not ended, and tidies up."""
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def failed_at(self) -> float:
        """When it said what its error is; 0 if it could not."""
        return self.error_file.stat().st_mtime if self.error_file.exists() else 0.0

    def failure(self) -> Mistake | None:
        """Why it ended before it was done; None if it is done."""
        code = self.process.returncode
        if code == 0:
            return None
        with suppress(OSError, ValueError):
            return of_status(**json.loads(self.error_file.read_text()))
        if self.is_interrupted or -code in (signal.SIGINT, signal.SIGTERM):
            return Interrupted("interrupted")
        if code < 0:
            return RunFailed(f"ended by signal {-code} ({signal.Signals(-code).name})")
        lines = self.said.read_text(errors="replace").split("\n")
        return RunFailed(next((line for line in reversed(lines) if line), f"ended with status {code}"))


def attach() -> None:
    """In a child: ends this process when its parent is gone."""
    if is_child():
        threading.Thread(target=_await_end_of_parent, daemon=True).start()


def is_child() -> bool:
    """Whether dgmrun has started this process."""
    return ERROR_FILE in os.environ


def is_rank() -> bool:
    """Whether this process is one of several that train together."""
    return is_child() and "LOCAL_RANK" in os.environ


def is_silent() -> bool:
    """Whether another process speaks for this one."""
    return (is_rank() and os.environ["LOCAL_RANK"] != "0") or node() > 0


def node() -> int:
    """Which of the machines that train together this is."""
    rank = os.environ.get("NODE_RANK", "0")
    return int(rank) if rank.isdecimal() else 0


def leave_others(num_nodes: int) -> None:
    """Forgets what another launcher has put into the environment, but what several nodes need."""
    kept = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if num_nodes > 1 else ()
    for key in set(OF_RANKS) - set(kept):
        os.environ.pop(key, None)


def _await_end_of_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHANED)
    os._exit(1)
