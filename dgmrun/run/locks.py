"""Locks of folders, between processes and machines.

A lock is an exclusive flock on a file `.lock` in the folder: SIGKILL releases it, and processes that inherit its handle
share it. It is on a file, as the locks of a folder itself do not leave the machine on NFS and Lustre.

Where there is no flock, or none that other machines see, a file `.owner` is the lock. It is made exclusively, names
machine and process, and is touched every few seconds. It is taken over from a process of this machine that has ended,
and from any other once nothing has touched it while we watched: clocks of two machines are never compared. A process
that has ended and whose children still have the lock file open, as the ranks of a training, is such another. Of several
that take it over together, the last one has it, which all of them see after a pause; an owner that was only asleep sees
that it has lost the lock, and ends.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from glob import glob
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from dgmrun.run.files import sync, temporary
from dgmrun.run.flock import flock

log = logging.getLogger("dgmrun")
LOCK, OWNER = ".lock", ".owner"
TOUCHED, SILENT, SETTLED, POLL = 5.0, 60.0, 2.0, 0.05
"""Seconds between touches; without one until an owner counts as ended; until a new one is sure; between looks."""


class Owner(NamedTuple):
    """The content of an owner file, and when it was last touched by the clock of the file system."""

    text: str
    touched: int


def is_held(folder: Path) -> bool:
    """Returns whether a process seems to hold the lock of a folder. Nothing is made, taken over or waited for."""
    if (owner := _owner(folder / OWNER)) is not None:
        return _lives(folder / OWNER, owner.text) is not False
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        flock(handle, wait=False, shared=True)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[int]:
    """Holds the lock of a folder and yields its handle.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    file = folder / LOCK
    handle, is_flocked = _opened(file, wait)
    with ExitStack() as stack:
        stack.callback(os.close, handle)
        if not is_flocked:
            stack.enter_context(_owned(folder / OWNER, wait))
        stack.callback(_remove, file)  # while it is locked: whoever waits for it sees that it is gone
        yield handle


def _remove(file: Path) -> None:
    with suppress(OSError):
        os.unlink(file)


def _opened(file: Path, wait: bool) -> tuple[int, bool]:
    """Returns the handle of a lock file, and whether it could be locked; whoever unlocks it removes it."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            if not flock(handle, wait):
                _tell(os.fstat(handle).st_dev)
                return handle, False
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.lstat(file)):
                    return handle, True
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@cache
def _tell(device: int) -> None:
    log.warning("warning: the file system of the run has no flock between machines; %s files stand for it", OWNER)


@contextmanager
def _owned(file: Path, wait: bool) -> Iterator[None]:
    mine, ended = f"{_machine()} {os.getpid()} {uuid4().hex}", threading.Event()
    _claim(file, mine, wait)
    touching = threading.Thread(target=_touch, args=(file, mine, ended), daemon=True)
    touching.start()
    try:
        yield
    finally:
        ended.set()
        touching.join()
        if _is_of(file, mine):
            _remove(file)


def _touch(file: Path, mine: str, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED):
        with suppress(OSError):
            owner = _owner(file)
            if owner is not None and owner.text != mine:
                log.error("error: %s was silent for too long and another process has taken over", file.parent)
                os._exit(1)
            os.utime(file)


def _claim(file: Path, mine: str, wait: bool) -> None:
    """Makes the owner file, or takes it over.

    Raises:
        BlockingIOError: it is that of a live process, and `wait` is false.
    """
    seen, since = None, time.monotonic()
    while not _made(file, mine):
        if (owner := _owner(file)) is None:
            continue
        lives = _lives(file, owner.text)
        if not wait and (lives or (seen is not None and owner != seen)):
            raise BlockingIOError
        if owner != seen:
            seen, since = owner, time.monotonic()
        if lives is False or (lives is None and time.monotonic() - since > SILENT):
            if _is_taken_over(file, mine, owner):
                return
        else:
            time.sleep(POLL)


def _is_taken_over(file: Path, mine: str, before: Owner) -> bool:
    with temporary(file) as stream:
        stream.write(mine.encode())
        sync(stream)
        if _owner(file) != before:
            return False
        os.replace(stream.name, file)
    time.sleep(SETTLED)
    return _is_of(file, mine)


def _made(file: Path, mine: str) -> bool:
    try:
        with file.open("x") as stream:
            stream.write(mine)
    except FileExistsError:
        return False
    return True


def _owner(file: Path) -> Owner | None:
    """Reads an owner file; opening it makes NFS ask the server for its time."""
    try:
        with file.open(errors="replace") as stream:
            return Owner(stream.read(1000), os.fstat(stream.fileno()).st_mtime_ns)
    except FileNotFoundError:
        return None


def _is_of(file: Path, mine: str) -> bool:
    owner = _owner(file)
    return owner is not None and owner.text == mine


def _lives(file: Path, text: str) -> bool | None:
    """Returns whether the process of an owner lives; None if only time can tell."""
    machine, _, rest = text.partition(" ")
    process = rest.partition(" ")[0]
    if machine != _machine() or not process.isdecimal():
        return None
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return None if _is_open(file.parent / LOCK) else False
    except PermissionError:
        pass
    return True


def _is_open(file: Path) -> bool:
    """Returns whether another process of this user and machine has a file open."""
    path, own = str(file.resolve()), f"/proc/{os.getpid()}/fd"
    for handle in glob("/proc/[0-9]*/fd/*"):
        with suppress(OSError):
            if os.path.dirname(handle) != own and os.readlink(handle).removesuffix(" (deleted)") == path:
                return True
    return False


@cache
def _machine() -> str:
    """Returns the name of this machine since it was started, and of the numbers of its processes, as a container's."""
    with suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{started}/{os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()
