"""Child processes of dgmrun: the jobs of a sweep, and the ranks of a distributed training.

Each is a `python -m dgmrun ...` in its own process session, so that Ctrl-C reaches it only once, through its
parent. It ends when its parent ends for whatever reason, as its standard input is a pipe that then closes. It writes
its error to a file rather than to the terminal, for its parent to report.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from dgmrun.errors import ERROR_FILE, Interrupted, Mistake, RunFailed, of_status

OF_MACHINES = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")
"""Environment variables by which several machines find each other; torchrun hosts the store at that port itself."""
OF_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", *OF_MACHINES)
"""Environment variables of distributed processes."""
REPEATED = (signal.SIGTERM, signal.SIGUSR2)
"""Signals of schedulers, the end of a job and its announcement, which they may repeat."""
STOPS = (signal.SIGINT, *REPEATED)
"""Signals at which a process saves its state and ends."""
ORPHANED = 60.0
"""Seconds that a process has to save its state after its parent has ended."""


class Child:
    """A process `python -m dgmrun ARGV...`.

    Args:
        argv: its arguments.
        environment: additional environment variables; those of distributed processes are not inherited.
        quiet: whether its stderr goes to a file, whose last line `failure` reports.
        locks: file descriptors to inherit, so that it holds their locks.
        fork: starts a quiet one without locks in less time, if it can.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        quiet: bool,
        locks: Sequence[int] = (),
        fork: Callable[[Sequence[str], Mapping[str, str], IO[bytes]], Any] | None = None,
    ) -> None:
        self.folder = TemporaryDirectory(prefix="dgmrun-")
        self.error_file, self.said = (Path(self.folder.name, name) for name in ("error.json", "stderr"))
        self.is_interrupted = False
        own = {**environment, "PYTHONSAFEPATH": "1", ERROR_FILE: str(self.error_file)}
        with self.said.open("wb") as said:
            self.process = (fork and fork(argv, own, said)) or subprocess.Popen(
                [sys.executable, "-m", "dgmrun", *argv],
                env=inherited(own),
                pass_fds=locks,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said if quiet else None,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Asks the process to save its state and end."""
        self.is_interrupted = True
        self.process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Kills the process if it is still running, and removes its files."""
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def failed_at(self) -> float:
        """Returns the time at which it wrote its error; 0 if it did not."""
        return self.error_file.stat().st_mtime if self.error_file.exists() else 0.0

    def failure(self) -> Mistake | None:
        """Returns the error of a process that has ended; None if it succeeded."""
        code = self.process.returncode
        if code == 0:
            return None
        with suppress(OSError, ValueError):
            return of_status(**json.loads(self.error_file.read_text()))
        if self.is_interrupted or -code in STOPS:
            return Interrupted("interrupted")
        if code < 0:
            return RunFailed(f"ended by signal {-code} ({signal.Signals(-code).name})")
        lines = self.said.read_text(errors="replace").split("\n")
        return RunFailed(next((line for line in reversed(lines) if line), f"ended with status {code}"))


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns these environment variables and those of this process that do not make it one of several."""
    return {**{key: value for key, value in os.environ.items() if key not in OF_RANKS}, **environment}


def attach() -> None:
    """In a child process, ends it when its parent ends."""
    if is_child():
        threading.Thread(target=_await_end_of_parent, daemon=True).start()


def is_child() -> bool:
    """Returns whether dgmrun has started this process."""
    return ERROR_FILE in os.environ


def is_rank() -> bool:
    """Returns whether this process is a rank of a distributed training."""
    return is_child() and "LOCAL_RANK" in os.environ


def is_silent() -> bool:
    """Returns whether another process logs for this one."""
    return (is_rank() and os.environ["LOCAL_RANK"] != "0") or node() > 0


def node() -> int:
    """Returns the index of this machine among those that train together."""
    rank = os.environ.get("NODE_RANK", "0")
    return int(rank) if rank.isdecimal() else 0


def leave_others(num_nodes: int) -> None:
    """Removes variables of other launchers from the environment, except those that several machines need."""
    kept = OF_MACHINES if num_nodes > 1 else ()
    for key in set(OF_RANKS) - set(kept):
        os.environ.pop(key, None)


def _await_end_of_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHANED)
    os._exit(1)
