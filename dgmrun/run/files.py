"""Atomic file writes, checksums, and immutable values."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, NoReturn

from dgmrun.run.flock import flock

BLOCK = 2**20
WRITING = ".writing"
"""Ending of the names of temporary files."""
OS_ERROR = re.compile(r"\(os error (\d+)\)")
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


@contextmanager
def temporary(file: Path) -> Iterator[IO[bytes]]:
    """Context manager of a stream under a temporary name beside a file, to be renamed to it, else removed at the end.

    It is locked, by which `remove_leftovers` tells it from those that a kill has left.

    Raises:
        OSError: it cannot be written; the error names `file`.
    """
    try:
        with _locked_stream(file) as stream:
            try:
                yield stream
            finally:
                Path(stream.name).unlink(missing_ok=True)
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(file)) from error


def _number(error: Exception) -> int | None:
    """Returns the number of an error of the system, which torch and safetensors hide in errors of their own."""
    for one in (error, error.__context__):
        if isinstance(one, OSError):
            return one.errno
    said = OS_ERROR.search(str(error))
    return None if said is None else int(said[1])


def _locked_stream(file: Path) -> IO[bytes]:
    while True:
        stream = NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", suffix=WRITING, delete=False)  # noqa: SIM115
        os.fchmod(stream.fileno(), 0o644)
        flock(stream.fileno(), wait=True)  # where there is none, nothing is taken for a leftover either
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()


def replace(file: Path, content: bytes) -> None:
    """Writes a file atomically: under a temporary name, synced, then renamed."""
    with temporary(file) as stream:
        stream.write(content)
        sync(stream)
        os.replace(stream.name, file)


def sync(stream: IO[bytes]) -> None:
    """Waits until what was written to a file is on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files in a folder whose process was killed."""
    for file in folder.glob(f".*{WRITING}"):
        with suppress(OSError), file.open("r+b") as stream:
            if flock(stream.fileno(), wait=False):
                file.unlink()


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
