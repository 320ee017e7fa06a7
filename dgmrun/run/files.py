"""Atomic file writes, locks, checksums, and immutable values."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

BLOCK = 2**20
OF_SYSTEMS = {
    *("__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "desktop.ini"),
}
"""Names, in lower case, under which operating systems leave copies, thumbnails and settings in a user's folder."""


def sha256(file: Path) -> str:
    """Returns the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def visible(folder: Path) -> list[Path]:
    """Lists the files in a folder and its subfolders, sorted by path, except hidden ones and those of systems.

    Links to folders are followed, but none into a folder above.
    """
    found: list[Path] = []
    for place in sorted(folder.iterdir()):
        if is_hidden(place.name):
            continue
        if place.is_dir():
            found += [] if folder.resolve().is_relative_to(place.resolve()) else visible(place)
        elif place.is_file():
            found.append(place)
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Returns whether a name is that of a hidden file or of one that a system has left."""
    return name.startswith(".") or name.casefold() in OF_SYSTEMS


def now() -> str:
    """Returns the current time in ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def replace(file: Path, content: bytes) -> None:
    """Writes a file atomically: under a temporary name, synced, then renamed."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[int]:
    """Holds an exclusive flock on a folder and yields its handle; processes that inherit the handle share the lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    finally:
        os.close(handle)


class Frozen(dict[str, Any]):
    """An immutable mapping."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a configuration is frozen once it is resolved: make another one")

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse


def frozen(value: Any) -> Any:
    """Returns a copy of nested plain values in which every mapping is immutable."""
    if isinstance(value, Mapping):
        return Frozen({key: frozen(entry) for key, entry in value.items()})
    return [frozen(entry) for entry in value] if isinstance(value, list) else value


def thawed(value: Any) -> Any:
    """Returns a copy made of ordinary dictionaries and lists, ready to be written."""
    if isinstance(value, Mapping):
        return {key: thawed(entry) for key, entry in value.items()}
    return [thawed(entry) for entry in value] if isinstance(value, (list, tuple)) else value
