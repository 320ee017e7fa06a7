"""Jobs as forks of a server, which has imported what they need, read configuration files and done nothing else.

A fork starts in milliseconds, where a fresh process imports torch and Lightning for seconds. In all else it is a
process of its own: it has a session, streams, variables and arguments as a fresh one has, and runs `python -m dgmrun`.
The server computes nothing, draws no random numbers and asks for no GPU, so that nothing of it can show in a job; it
has one thread, as others would be missing in a fork, with the locks that they hold.
"""

from __future__ import annotations

import atexit
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
from typing import IO, NamedTuple

from dgmrun.children import STOPS
from dgmrun.command import process, warm

LONGEST = 2**17
"""Most bytes of a request."""
LINE = 12
"""Bytes of a word in a report: a status that a fork `says` it ends with, or has `ended` with, as its server knows."""


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
        """Starts `python -m dgmrun ARGV...`; returns None if the server has ended, should not fork or cannot."""
        request = json.dumps([list(argv), dict(environment)]).encode()
        if len(request) > LONGEST:
            return None
        (stdin, ours), (report, theirs) = os.pipe(), os.pipe()
        with self.lock:
            number = self._answer(request, [stdin, stderr.fileno(), theirs])
        os.close(stdin)
        os.close(theirs)
        if number:
            return Fork(number, report, ours)
        os.close(report)
        os.close(ours)
        return None

    def _answer(self, request: bytes, descriptors: list[int]) -> int:
        """Returns the number of the process that was forked for a request, or 0."""
        if self.process is None:
            self._start()
        with suppress(OSError):
            socket.send_fds(self.requests, [request], descriptors)
            return int(self.requests.recv(LINE) or 0)
        return 0

    def _start(self) -> None:
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

    def stop(self) -> None:
        """Kills the server, even one that has been stopped, and with it a fork that is not yet in a session of its own.

        Whoever waits for an answer gets none, and each other fork tells its end itself.
        """
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the server for good, all of whose forks have ended."""
        self.stop()
        self.requests.close()
        self.theirs.close()
        if self.process is not None:
            self.process.wait()


class Fork:
    """A forked process, with those methods of `subprocess.Popen` that a Child uses, also from several threads.

    Args:
        pid: its number.
        report: where it says the status that it ends with, and its server the one that it has ended with.
        stdin: the other end of its standard input.
    """

    def __init__(self, pid: int, report: int, stdin: int) -> None:
        self.pid, self.report, self.stdin = pid, report, stdin
        self.returncode: int | None = None
        self.said = -int(signal.SIGKILL)
        self.lock = threading.Lock()
        os.set_blocking(report, False)

    def poll(self) -> int | None:
        """Returns its status, minus the signal that has killed it if one has, or None if it has not ended.

        It has its report open itself: if its server was killed, the report ends with the fork, and what it has said
        holds. One that has said nothing was killed.
        """
        with self.lock, suppress(BlockingIOError):
            while self.returncode is None:
                word, number = (os.read(self.report, LINE) or b"ended %d" % self.said).split()
                self.said = int(number)
                if word == b"ended":
                    self.returncode = self.said
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Returns its status once it has ended.

        Raises:
            TimeoutExpired: it has not ended.
        """
        told = select.poll()
        told.register(self.report, select.POLLIN)
        while (status := self.poll()) is None:
            if not told.poll(None if timeout is None else 1000 * timeout):
                raise subprocess.TimeoutExpired("dgmrun", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
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
    with suppress(AttributeError, OSError):  # a container may forbid it
        os.close(os.pidfd_open(os.getpid()))
        return True
    return False


def main(descriptor: int) -> None:
    """Imports, forks for each request, and ends with the process that started it; in a fork, does what it is for.

    It forks nothing if a library has started a thread.
    """
    ends: list[int] = []
    atexit.register(warm.leave, ends)  # the first that is registered comes last
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # of a scheduler, they reach every process
    process.settle()
    warm.prepare()
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)  # OpenBLAS ends its threads before a fork, and starts others where it needs them
    if len(os.listdir("/proc/self/task")) > 1:
        return
    if (request := _served(socket.socket(fileno=descriptor))) is not None:
        _become(request)
        try:
            runpy.run_module("dgmrun", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            ends.append(end.code if isinstance(end.code, int) else int(end.code is not None))
            _tell(request.report, "says", ends[0])
            raise


def _served(requests: socket.socket) -> Request | None:
    """Answers requests until there can be no more; in a fork, returns its own.

    A request that the system has no process or descriptor for is answered 0, and harms no other.
    """
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
            try:
                request = Request(*json.loads(text), *descriptors)
                pid, ended = _forked()
            except (OSError, TypeError, ValueError):
                pid = 0
            else:
                if pid == 0:
                    for other in (requests.detach(), *running, *(report for _, report in running.values())):
                        os.close(other)
                    return request
                running[ended] = pid, descriptors.pop()
                poll.register(ended, select.POLLIN)
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(OSError):  # nobody waits for it any more
                requests.send(b"%d" % pid)


def _forked() -> tuple[int, int]:
    """Forks; returns the number of the fork, 0 in itself, and a descriptor that can be read once it has ended.

    Raises:
        OSError: there can be no more processes, or no more descriptors.
    """
    if (pid := os.fork()) == 0:
        return 0, -1
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _bury(ended: int, pid: int, report: int) -> None:
    """Tells the status of a fork that has ended, then gives its number free, so that no signal reaches another."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    _tell(report, "ended", found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)
    os.waitpid(pid, 0)
    os.close(ended)
    os.close(report)


def _tell(report: int, word: str, status: int) -> None:
    with suppress(OSError):  # nobody waits for it any more
        os.write(report, f"{word} {status}".ljust(LINE).encode())


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
