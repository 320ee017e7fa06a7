"""Exclusive flocks on files, where the file system has them and other machines see them."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from errno import EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP
from functools import cache
from pathlib import Path

WITHOUT = (ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL)
"""Errors of a file system that has no flock."""
MOUNTS = Path("/proc/self/mountinfo")
LOCAL = {"local_lock=flock", "local_lock=all", "localflock"}
"""Options of mounts, of NFS and of Lustre, whose flock other machines do not see."""


def flock(handle: int, wait: bool, shared: bool = False) -> bool:
    """Locks a file; returns whether its file system can, for other machines as well.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    if is_local(os.fstat(handle).st_dev):
        return False
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, how if wait else how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT:
            raise
        return False
    return True


@cache
def is_local(device: int) -> bool:
    """Returns whether flocks on a device stay on this machine though others see its files."""
    numbers = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for fields in map(str.split, MOUNTS.read_text().splitlines()):
            if fields[2] == numbers:
                return not LOCAL.isdisjoint(",".join(fields).split(","))
    return False
