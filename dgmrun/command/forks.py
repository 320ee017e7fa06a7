"""Jobs as forks of a server, which has imported what they need and has done nothing else.

A fork starts in milliseconds, where a fresh process imports torch and Lightning for seconds. In all else it is a
process of its own: it has a session, streams, variables and arguments as a fresh one has, and runs `python -m dgmrun`.
The server computes nothing, draws no random numbers and asks for no GPU, so that nothing of it can show in a job; it
has one thread, as others would be missing in a fork, with the locks that they hold.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import IO, NamedTuple

from dgmrun.children import STOPS

OF_JOBS = "command.compose command.execution stages.train.fit pictures.evidence".split()
"""Modules of dgmrun that import most of what any job does."""
LONGEST = 2**17
"""Most bytes of a request."""
LINE = 12
"""Bytes of a number in a report: the fork's own, then its status."""


class Server:
    """A process that forks others, from the first time that it is asked to until it is closed or its own parent ends.

    Args:
        environment: environment variables of the server, and of all its forks.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.requests, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def fork(self, argv: Sequence[str], environment: Mapping[str, str], stderr: IO[bytes]) -> Fork | None:
        """Starts `python -m dgmrun ARGV...`; returns None if the server has ended, or should not fork."""
        self._start()
        (stdin, ours), (report, theirs) = os.pipe(), os.pipe()
        request = json.dumps([list(argv), dict(environment)]).encode()
        with suppress(OSError):
            socket.send_fds(self.requests, [request], [stdin, stderr.fileno(), theirs])
        os.close(stdin)
        os.close(theirs)
        if number := os.read(report, LINE):
            return Fork(int(number), report, ours)
        os.close(report)
        os.close(ours)
        return None

    def _start(self) -> None:
        with self.lock:
            if self.process is None:
                code = f"from dgmrun.command import forks; forks.main({self.theirs.fileno()})"
                self.process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    env={**self.environment, "PYTHONSAFEPATH": "1"},
                    pass_fds=[self.theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self.theirs.close()

    def close(self) -> None:
        """Ends the server, all of whose forks have ended."""
        self.requests.close()
        self.theirs.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Fork:
    """A forked process, with those methods of `subprocess.Popen` that a Child uses.

    Args:
        pid: its number.
        report: where the server writes its status once it has ended.
        stdin: the other end of its standard input.
    """

    def __init__(self, pid: int, report: int, stdin: int) -> None:
        self.pid, self.report, self.stdin = pid, report, stdin
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Returns its status once it has ended: minus the signal that has killed it, if one has.

        A fork has its report open itself: even if its server was killed, nothing is read before it has ended.

        Raises:
            TimeoutExpired: it has not ended.
        """
        if self.returncode is None:
            poll = select.poll()
            poll.register(self.report, select.POLLIN)
            if not poll.poll(None if timeout is None else 1000 * timeout):
                raise subprocess.TimeoutExpired("dgmrun", timeout or 0.0)
            self.returncode = int(os.read(self.report, LINE) or -signal.SIGKILL)
        return self.returncode

    def poll(self) -> int | None:
        """Returns its status, or None if it has not ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> None:
        """Closes its standard input, and waits for its end."""
        os.close(self.stdin)
        self.wait()
        os.close(self.report)


class Request(NamedTuple):
    """What a fork is to become: arguments, environment variables beside those of the server, and descriptors."""

    argv: list[str]
    environment: dict[str, str]
    stdin: int
    stderr: int
    report: int


def can_fork() -> bool:
    """Returns whether this system tells the end of a process as Linux does, where forking is safe after imports."""
    return hasattr(os, "pidfd_open")


def main(descriptor: int) -> None:
    """Imports, forks for each request, and ends with the process that started it; in a fork, does what it is for.

    It forks nothing if a library has started a thread.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # of a scheduler, they reach every process
    for name in OF_JOBS:
        import_module(f"dgmrun.{name}")
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)  # OpenBLAS ends its threads before a fork, and starts others where it needs them
    if len(os.listdir("/proc/self/task")) > 1:
        return
    if (request := _served(socket.socket(fileno=descriptor))) is not None:
        _become(request)
        runpy.run_module("dgmrun", run_name="__main__", alter_sys=True)


def _served(requests: socket.socket) -> Request | None:
    """Answers requests until there can be no more; in a fork, returns its own."""
    running: dict[int, tuple[int, int]] = {}
    """Number and report of each fork, by a descriptor that can be read once it has ended."""
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                poll.unregister(ready)
                _bury(ready, *running.pop(ready))
                continue
            text, descriptors, *_ = socket.recv_fds(requests, LONGEST, 3)
            if not text:
                return None
            request = Request(*json.loads(text), *descriptors)
            if (pid := os.fork()) == 0:
                for other in (requests.detach(), *running, *(report for _, report in running.values())):
                    os.close(other)
                return request
            running[ended := os.pidfd_open(pid)] = pid, request.report
            poll.register(ended, select.POLLIN)
            os.close(request.stdin)
            os.close(request.stderr)
            _tell(request.report, pid)


def _bury(ended: int, pid: int, report: int) -> None:
    """Tells the status of a fork that has ended."""
    _, status = os.waitpid(pid, 0)
    _tell(report, os.waitstatus_to_exitcode(status))
    os.close(ended)
    os.close(report)


def _tell(report: int, number: int) -> None:
    with suppress(OSError):  # nobody waits for it any more
        os.write(report, f"{number:{LINE}d}".encode())


def _become(request: Request) -> None:
    """Gives this fork the session, streams, variables, arguments and signals of a fresh process."""
    os.setsid()
    for place, descriptor in ((0, request.stdin), (2, request.stderr)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.update(request.environment)
    sys.argv[1:] = request.argv
    for number in STOPS:
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
