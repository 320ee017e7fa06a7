"""Published files, read from a local copy or else downloaded; both are checked against the published checksum.

Nothing is written if there is a local copy, so the folder may be read-only.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from dgmrun.errors import Mistake

SECONDS_OF_SILENCE = 60


def find(data_dir: Path, names: Sequence[str]) -> Path | None:
    """Returns the first of `names` that is a file in `data_dir`, or None."""
    return next((data_dir / name for name in names if (data_dir / name).is_file()), None)


def sha256(content: bytes) -> str:
    """Returns the SHA-256, the default checksum."""
    return hashlib.sha256(content).hexdigest()


def read(
    data_dir: Path, names: Sequence[str], url: str, checksum: str, digest: Callable[[bytes], str] = sha256
) -> bytes:
    """Returns the content of a published file, decompressed if it is gzipped.

    Args:
        data_dir: folder of all datasets.
        names: names under which to look for the file, compressed or not; a download is saved under the first.
        url: where the file is published.
        checksum: checksum of the decompressed content.
        digest: computes the checksum.

    Raises:
        Mistake: the local copy has another checksum, or the download failed.
    """
    path = find(data_dir, names)
    if path is None:
        return _download(data_dir, names, url, checksum, digest)
    content = _published(path.read_bytes(), checksum, digest)
    if content is None:
        raise Mistake(
            f"`data_dir` must hold {names[0]} as published, but {path} has another checksum",
            hint=f"rm {path}    (and the next run downloads it from {url})",
        )
    return content


def _download(data_dir: Path, names: Sequence[str], url: str, checksum: str, digest: Callable[[bytes], str]) -> bytes:
    path = data_dir / names[0]
    try:
        with urlopen(url, timeout=SECONDS_OF_SILENCE) as response:
            packed: bytes = response.read()
        content = _published(packed, checksum, digest)
        if content is None:
            raise OSError("what came has another checksum")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, packed)
    except (OSError, HTTPException) as error:
        raise Mistake(
            f"`data_dir` must hold {' or '.join(names)}, but {data_dir} does not, "
            f"and downloading {url} into it failed: {error}",
            hint="data_dir=DIR, or DGMRUN_DATA=DIR in the environment, with the folder that has it",
        ) from error
    return content


def _published(content: bytes, checksum: str, digest: Callable[[bytes], str]) -> bytes | None:
    """Returns `content`, decompressed if it is gzipped, or None if its checksum differs."""
    try:
        unpacked = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error):
        return None
    return unpacked if digest(unpacked) == checksum else None


def _write(path: Path, content: bytes) -> None:
    """Writes under a name unique to this process and renames, so that no other process reads a partial file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
