"""Published files: a local copy first, else a download, and neither is used without the published checksum.

Nothing is written where there is a local copy, so a read-only folder will do.
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
    """The first of `names` that is a file in `data_dir`."""
    return next((data_dir / name for name in names if (data_dir / name).is_file()), None)


def sha256(content: bytes) -> str:
    """The checksum that most files are published with, or can be."""
    return hashlib.sha256(content).hexdigest()


def read(
    data_dir: Path, names: Sequence[str], url: str, checksum: str, digest: Callable[[bytes], str] = sha256
) -> bytes:
    """The content of a published file, decompressed if it is gzipped.

    Args:
        data_dir: the folder of all datasets.
        names: where the file may lie in it, packed or unpacked; a download is kept under the first.
        url: where it is published.
        checksum: of the decompressed content.
        digest: how the checksum is computed.
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
    """`content` without its gzip packing, or None if that has another checksum."""
    try:
        unpacked = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error):
        return None
    return unpacked if digest(unpacked) == checksum else None


def _write(path: Path, content: bytes) -> None:
    """Under a name of this process first, so that no other one ever reads half a file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
